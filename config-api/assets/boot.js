// SPDX-License-Identifier: MIT OR Apache-2.0
// What htmx leaves to be said: that the device does not answer, and where in the text a fault is.
// The pages work without this file.
"use strict";

function tell(isLost) {
  const lost = document.getElementById("lost");
  if (!lost) return;
  lost.hidden = !isLost;
  lost.textContent = isLost ? lost.dataset.text : "";
}

for (const name of ["htmx:sendError", "htmx:timeout", "htmx:sseError"]) {
  document.addEventListener(name, () => tell(true));
}
for (const name of ["htmx:beforeRequest", "htmx:sseOpen"]) {
  document.addEventListener(name, () => tell(false));
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-line]");
  const area = document.getElementById("config");
  if (!link || !area) return;
  event.preventDefault();
  const lines = area.value.split("\n");
  const line = Number(link.dataset.line) - 1;
  const start = lines.slice(0, line).reduce((sum, text) => sum + text.length + 1, 0);
  // Columns are characters, places in a text are halves of some.
  const before = Array.from(lines[line] || "").slice(0, Number(link.dataset.column) - 1).join("");
  area.focus();
  area.setSelectionRange(start + before.length, start + (lines[line] || "").length);
  const height = area.scrollHeight / lines.length;
  area.scrollTop = Math.max(0, (line - 4) * height);
  area.scrollIntoView({ block: "center" });
});
