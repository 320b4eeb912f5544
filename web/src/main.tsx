/** Start of the page. */

import { render } from "preact";
import { App } from "./app.tsx";
import { startRouting } from "./lib/route.ts";
import { startTheme } from "./ui/theme.ts";
import "./styles/base.css";
import "./styles/list.css";
import "./styles/sequence.css";
import "./styles/panels.css";

startTheme();
startRouting();
render(<App />, document.getElementById("app")!);
