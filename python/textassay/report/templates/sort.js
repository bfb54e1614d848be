"use strict";
const value = (row, column) => row.cells[column].textContent.trim();
const figure = (text) => Number.parseFloat(text.replace(/[,\s%]/g, "").replace("−", "-"));
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.className === "picture") return;
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    const isNumber = head.className === "number";
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const order = before ? (before === "ascending" ? "descending" : "ascending") : isNumber ? "descending" : "ascending";
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        if (!isNumber) return sign * x.localeCompare(y);
        const [p, q] = [figure(x), figure(y)];
        return Number.isNaN(p) ? 1 : Number.isNaN(q) ? -1 : sign * (p - q);
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      table.tBodies[0].append(...rows);
    });
  });
}
