function prepare(root) {
  for (const table of root.querySelectorAll("table.cards")) {
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
  for (const command of navigator.clipboard ? root.querySelectorAll("pre.command") : []) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "copy";
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(command.querySelector("code").textContent);
      button.textContent = "copied";
    });
    command.prepend(button);
  }
}
prepare(document);
