// What a page knows of a board, and the controls of its tables.
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const PLACE = new Map([...ALPHABET].map((sign, place) => [sign, place]));

function whole(text, digits) {
  const found = new Array(text.length / digits);
  for (let at = 0; at < found.length; at += 1) {
    let value = 0;
    for (let sign = 0; sign < digits; sign += 1)
      value = value * 64 + PLACE.get(text[at * digits + sign]);
    found[at] = value;
  }
  return found;
}

// NaN is "undefined", infinity "absent".
function unpacked([low, high, text], digits) {
  const top = Math.pow(64, digits) - 3, span = high > low ? high - low : 0;
  return whole(text, digits).map((place) =>
    place === top + 1 ? NaN : place === top + 2 ? Infinity : low + span * place / top);
}

class Board {
  constructor(section, data) {
    this.section = section;
    this.data = data;
    this.id = section.id;
    this.scores = new Map();
    this.metric = data.metrics.find((metric) => metric.name === data.lead) || data.metrics[0];
  }

  model(name) { return this.data.models.findIndex((model) => model.name === name); }

  // A model's score on every held-out perturbation under a metric; null where the page has none.
  of(metric, model) {
    const key = `${metric.name}\n${model}`;
    if (!this.scores.has(key)) {
      const rows = this.data.scores && this.data.scores.of[metric.name];
      const packed = rows && rows[model];
      this.scores.set(key, packed ? unpacked(packed, this.data.scores.digits) : null);
    }
    return this.scores.get(key);
  }

  unit(place) {
    const {names, types, type} = this.data.units;
    return types.length > 1 ? `${names[place]} in ${types[type[place]]}` : names[place];
  }

  part(by) {
    const part = this.data.parts && this.data.parts[by];
    if (!part || typeof part === "string") return null;
    part.places = part.places || whole(part.of, 1);
    return part;
  }

  // Measured and predicted changes of the top genes of one perturbation; null without predictions.
  changes(name, unit) {
    const data = this.data.changes;
    if (!data || !data.of || !data.of[name]) return null;
    const n = data.n, signs = n * data.digits;
    const genes = whole(data.genes.slice(unit * signs, (unit + 1) * signs), data.digits);
    const read = (key, text) => {
      // Kept as bytes: one condition is read at a time.
      this.bytes = this.bytes || new Map();
      if (!this.bytes.has(key)) this.bytes.set(key, atob(text));
      return [...this.bytes.get(key).slice(unit * n, (unit + 1) * n)].map((sign) =>
        sign.charCodeAt(0)).map((place) => place > 254 ? NaN
        : (place / 254 * 2 - 1) * data.limit * data.scale[unit]);
    };
    const measured = read("", data.true), predicted = read(`of ${name}`, data.of[name]);
    return genes.map((gene, place) => ({name: data.symbols[gene], true: measured[place],
      predicted: predicted[place]})).filter((gene) => Number.isFinite(gene.predicted) &&
      Number.isFinite(gene.true));
  }
}

function average(values) {
  let sum = 0, n = 0;
  for (const value of values) if (Number.isFinite(value)) { sum += value; n += 1; }
  return n ? sum / n : NaN;
}

function controlTable(toolbar, table) {
  const heads = [...table.tHead.rows[0].cells], mode = toolbar.querySelector(".mode");
  const said = toolbar.querySelector(".status");
  let sorted = 1, isDown = heads[1] && heads[1].textContent.includes("↑");

  function arrange() {
    const key = mode.value;
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => row.dataset.model);
      const value = (row) => {
        if (sorted === 0) return row.dataset.model.toLowerCase();
        const cell = row.cells[sorted];
        const text = cell.dataset.v === undefined ? cell.textContent : cell.dataset[key];
        return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
      };
      rows.map((row, place) => [value(row), place, row]).sort(([a, i], [b, j]) => {
        // What has no value is last, whichever way round.
        if (a === null || b === null) return (a === null) - (b === null) || i - j;
        return (a < b ? -1 : a > b ? 1 : 0) * (isDown ? -1 : 1) || i - j;
      }).forEach(([, , row]) => body.append(row));
    }
    rankBy(sorted);
    heads.forEach((head, place) => head.setAttribute("aria-sort",
      place !== sorted ? "none" : isDown ? "descending" : "ascending"));
  }

  // Ranks of those that compete, by the sorted metric; ties share the better one.
  function rankBy(column) {
    const rows = [...table.querySelectorAll("tbody.competitors tr[data-model]")];
    if (!rows.length || !rows[0].cells[column] || rows[0].cells[column].dataset.v === undefined) return;
    const values = rows.map((row) => row.cells[column].dataset.v);
    const up = heads[column].textContent.includes("↑");
    rows.forEach((row, place) => {
      const better = values.filter((value) => value !== "" && (up
        ? Number(value) > Number(values[place]) : Number(value) < Number(values[place])));
      row.querySelector(".rank").textContent = values[place] === "" ? "–" : better.length + 1;
    });
  }

  heads.forEach((head, place) => {
    const button = el("button", {type: "button"}, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      // The first click puts the best model first.
      isDown = sorted === place ? !isDown : head.textContent.includes("↑");
      sorted = place;
      arrange();
      said.textContent = `sorted by ${head.textContent.trim()}, ` +
        (isDown ? "largest first" : "smallest first");
    });
  });
  mode.addEventListener("change", () => {
    table.classList.toggle("gaps", mode.value === "g");
    if (mode.value === "g") isDown = true;
    arrange();
  });

  const filter = toolbar.querySelector(".filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    let n = 0;
    for (const row of table.querySelectorAll("tr[data-model]")) {
      const text = `${row.cells[0].textContent} ${row.className}`.toLowerCase();
      row.hidden = !text.includes(wanted);
      n += row.hidden ? 0 : 1;
    }
    said.textContent = `${n} models shown`;
  });

  const boxes = [...toolbar.querySelectorAll("input[type=checkbox]")];
  const count = toolbar.querySelector(".count");
  function choose() {
    boxes.forEach((box, place) => {
      for (const row of table.rows)
        if (row.cells.length > place + 1) row.cells[place + 1].hidden = !box.checked;
    });
    count.textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length}`;
  }
  boxes.forEach((box) => box.addEventListener("change", choose));
  toolbar.querySelector(".all").addEventListener("click", () => {
    boxes.forEach((box) => { box.checked = true; });
    choose();
  });
  const chooser = toolbar.querySelector(".chooser");
  chooser.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { chooser.open = false; chooser.firstElementChild.focus(); }
  });
  document.addEventListener("click", (event) => {
    if (!chooser.contains(event.target)) chooser.open = false;
  });
  toolbar.hidden = false;
  choose();
  arrange();
}
