/** Chooses the view. */

import { useSignal } from "@preact/signals";
import { route } from "./lib/route.ts";
import { ListView } from "./list/list_view.tsx";
import { loaded } from "./ui/loaded.tsx";
import { Notices } from "./ui/overlay.tsx";
import { SignIn } from "./ui/sign_in.tsx";

const SequenceView = loaded(() => import("./sequence/sequence_view.tsx"));

export function App() {
  const attempt = useSignal(0);
  const shown = route.value;
  return (
    <>
      {shown.view === "list" ? (
        <ListView key={attempt.value} shown={shown} />
      ) : (
        <SequenceView key={`${attempt.value} ${shown.name}`} shown={shown} />
      )}
      <SignIn
        onKey={() => {
          attempt.value += 1;
        }}
      />
      <Notices />
    </>
  );
}
