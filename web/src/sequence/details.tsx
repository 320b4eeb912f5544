/** Everything about a sequence that is no data. */

import { ns, type SequenceDetail } from "../api/types.ts";
import { formatTime } from "../lib/format.ts";
import { Fields } from "../panels/json_tree.tsx";
import { Dialog } from "../ui/overlay.tsx";

export function Details({ detail, onClose }: { detail: SequenceDetail; onClose: () => void }) {
  const range = detail.time_range;
  return (
    <Dialog title={detail.name} onClose={onClose}>
      <dl class="details">
        <dt>State</dt>
        <dd>{detail.state}</dd>
        <dt>Created</dt>
        <dd>{formatTime(ns(detail.created_ns), 3)}</dd>
        {range && (
          <>
            <dt>First message</dt>
            <dd>{formatTime(ns(range.min_ns), 9)}</dd>
            <dt>Last message</dt>
            <dd>{formatTime(ns(range.max_ns), 9)}</dd>
          </>
        )}
      </dl>
      <h2>Metadata</h2>
      <Fields value={detail.user_metadata} />
      {detail.topics
        .filter((topic) => Object.keys(topic.user_metadata).length > 0)
        .map((topic) => (
          <section key={topic.name}>
            <h2>{topic.name}</h2>
            <Fields value={topic.user_metadata} />
          </section>
        ))}
    </Dialog>
  );
}
