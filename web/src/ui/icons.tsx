/** Icons of 16 x 16 pixels, drawn with lines. */

const PATHS = {
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.6-1.4L14 14",
  back: "M10 3 5 8l5 5",
  play: "M4.5 2.8v10.4L13 8Z",
  pause: "M5 3v10M11 3v10",
  first: "M12 3 6 8l6 5ZM4 3v10",
  last: "m4 3 6 5-6 5ZM12 3v10",
  previous: "M10 4 6 8l4 4",
  next: "m6 4 4 4-4 4",
  close: "m4 4 8 8m0-8-8 8",
  plus: "M8 3v10M3 8h10",
  expand: "M9.5 2.5h4v4M6.5 13.5h-4v-4M13 3 9.5 6.5M3 13l3.5-3.5",
  shrink: "M13 6.5H9.5V3M3 9.5h3.5V13M9.5 6.5l4-4M6.5 9.5l-4 4",
  more: "M3 8h.01M8 8h.01M13 8h.01",
  link: "M6.5 9.5l3-3M7 4.8l1.6-1.6a2.6 2.6 0 0 1 3.8 3.8L10.8 8.6M9 11.2l-1.6 1.6a2.6 2.6 0 0 1-3.8-3.8l1.6-1.6",
  copy: "M5.5 5.5h8v8h-8ZM10.5 5.5v-3h-8v8h3",
  download: "M8 2.5v7.2M4.8 6.8 8 10l3.2-3.2M2.5 13.5h11",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.2v1.3M8 13.5v1.3M1.2 8h1.3M13.5 8h1.3M3.2 3.2l.9.9M11.9 11.9l.9.9M12.8 3.2l-.9.9M4.1 11.9l-.9.9",
  moon: "M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6Z",
  key: "M9.8 9.2a3.2 3.2 0 1 0-3-3L2.5 10.5V13.5h3v-2h2v-1.7ZM11 5h.01",
  help: "M6 6.2a2 2 0 1 1 2.8 1.8C8.2 8.3 8 8.7 8 9.3M8 11.8h.01M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4Z",
  info: "M8 7.2v4M8 4.8h.01M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4Z",
  follow: "M2 8h6M5.5 4.5 9 8l-3.5 3.5M12.5 3v10",
  plot: "M2 2.5v11h12M4.5 10l2.5-4 2.5 2.5L13.5 3.5",
  image: "M2.5 3h11v10h-11ZM2.5 11l3.5-3.5 2.5 2.5 2-2 3 3M10.5 6h.01",
  message:
    "M6 2.5C4.5 2.5 5 5 4.5 6.5 4.2 7.5 3 8 3 8s1.2.5 1.5 1.5C5 11 4.5 13.5 6 13.5M10 2.5c1.5 0 1 2.5 1.5 4 .3 1 1.5 1.5 1.5 1.5s-1.2.5-1.5 1.5c-.5 1.5 0 4-1.5 4",
  map: "M8 14s4.5-4.2 4.5-7.5a4.5 4.5 0 1 0-9 0C3.5 9.8 8 14 8 14ZM8 8.2a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4Z",
  scene: "M8 1.8 13.5 5v6L8 14.2 2.5 11V5ZM2.5 5 8 8.2 13.5 5M8 8.2v6",
  bands: "M2 4h5M9 4h5M2 8h9M13 8h1M2 12h3M7 12h7",
  log: "M2.5 3.5h11M2.5 6.5h11M2.5 9.5h7M2.5 12.5h9",
  left: "M12 8H4M7 4.5 3.5 8 7 11.5",
  right: "M4 8h8M9 4.5 12.5 8 9 11.5",
  chevron: "m6 4 4 4-4 4",
  loop: "M3 8a4 4 0 0 1 4-4h5M10 1.8 12.2 4 10 6.2M13 8a4 4 0 0 1-4 4H4M6 9.8 3.8 12 6 14.2",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  const filled = name === "play" || name === "first" || name === "last";
  return (
    <svg class={filled ? "icon filled" : "icon"} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

interface IconButtonProps {
  icon: IconName;
  /** Read by screen readers and shown as a tooltip. */
  label: string;
  onClick: (event: MouseEvent) => void;
  pressed?: boolean;
  disabled?: boolean;
}

export function IconButton({ icon, label, onClick, pressed, disabled }: IconButtonProps) {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
