for (const table of document.querySelectorAll("table.cards")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const words = head.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.order;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        const plain = x === "" || y === "" || isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
        return down ? -plain : plain;
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}

const filter = document.querySelector("form.filter");
if (filter) {
  const rows = [...document.querySelectorAll("tr.claim")];
  const apply = () => {
    const asked = new FormData(filter);
    const [show, words] = [asked.get("show"), asked.get("words").trim().toLowerCase()];
    for (const row of rows) {
      const marked = !show || row.dataset.marks.split(" ").includes(show);
      row.hidden = !(marked && row.dataset.words.includes(words));
    }
    for (const group of document.querySelectorAll("table.claims tbody"))
      group.hidden = !group.querySelector("tr.claim:not([hidden])");
    filter.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  };
  filter.hidden = false;
  filter.addEventListener("input", apply);
  filter.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
