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
