/** Dialogs, menus and short notices. */

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon, IconButton, type IconName } from "./icons.tsx";

const notice = signal<string | null>(null);
let timer: ReturnType<typeof setTimeout> | undefined;

/** Shows a short text for a moment; screen readers read it. */
export function notify(text: string): void {
  notice.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => {
    notice.value = null;
  }, 2600);
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notice.value && <div class="notice">{notice.value}</div>}
    </div>
  );
}

export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-label={props.title} onClose={props.onClose} onPointerDown={closeOutside}>
      <header>
        <h2>{props.title}</h2>
        <IconButton icon="close" label="Close" onClick={() => dialog.current?.close()} />
      </header>
      <div class="dialog-body">{props.children}</div>
    </dialog>
  );
}

function closeOutside(event: MouseEvent): void {
  if (event.target === event.currentTarget) (event.currentTarget as HTMLDialogElement).close();
}

export interface MenuItem {
  label: string;
  icon?: IconName;
  detail?: string;
  action: () => void;
}

interface MenuProps {
  label: string;
  icon: IconName;
  text?: string;
  items: () => MenuItem[];
}

/** A button with a list of actions; the popover of the browser keeps it above everything. */
export function Menu({ label, icon, text, items }: MenuProps) {
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const shown = useRef(signal<MenuItem[]>([])).current;
  const onToggle = (event: Event) => {
    if ((event as ToggleEvent).newState === "closed") {
      shown.value = [];
      return;
    }
    const box = button.current!.getBoundingClientRect();
    const menu = list.current!;
    const left = Math.min(box.left, innerWidth - menu.offsetWidth - 8);
    const below = box.bottom + menu.offsetHeight + 8 < innerHeight;
    menu.style.left = `${Math.max(8, left)}px`;
    menu.style.top = `${below ? box.bottom + 4 : Math.max(8, box.top - menu.offsetHeight - 4)}px`;
    menu.querySelector<HTMLElement>("button")?.focus();
  };
  const open = () => {
    shown.value = items();
    requestAnimationFrame(() => list.current?.togglePopover());
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        class={text ? "button" : "icon-button"}
        aria-label={label}
        aria-haspopup="menu"
        title={label}
        onClick={open}
      >
        <Icon name={icon} />
        {text}
      </button>
      <div ref={list} popover="auto" role="menu" class="menu" onToggle={onToggle} onKeyDown={moveInMenu}>
        {shown.value.map((item) => (
          <button
            type="button"
            role="menuitem"
            key={`${item.label} ${item.detail}`}
            onClick={() => {
              list.current?.hidePopover();
              item.action();
            }}
          >
            {item.icon && <Icon name={item.icon} />}
            <span>{item.label}</span>
            {item.detail && <span class="detail">{item.detail}</span>}
          </button>
        ))}
      </div>
    </>
  );
}

function moveInMenu(event: KeyboardEvent): void {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  event.stopPropagation();
  if (step === 0) return;
  event.preventDefault();
  const buttons = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("button")];
  const at = buttons.indexOf(document.activeElement as HTMLElement);
  buttons[(at + step + buttons.length) % buttons.length]?.focus();
}

/** Copies a text and confirms it. */
export async function copyText(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notify(`${what} copied`);
  } catch {
    prompt(`The browser does not allow to copy. ${what}:`, text);
  }
}

/** Saves a blob as a file. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  saveLink(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Lets the browser write what an address returns to a file. */
export function saveLink(url: string, name: string): void {
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  anchor.click();
}
