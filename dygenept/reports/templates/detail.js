// A model's record, a perturbation under all models, and what lies below a board's table.
const detail = document.getElementById("detail");
const boards = new Map();

// How wide a chart may be for its text to be as large as the page's.
function room(node) {
  const most = document.body.clientWidth - 48;
  return node && node.clientWidth ? Math.min(node.clientWidth, most) : most;
}

function openDetail(board, title, content) {
  document.getElementById("detail-title").textContent = title;
  const warning = board.section.querySelector("p.simulated");
  document.getElementById("detail-body").replaceChildren(
    ...[warning && warning.cloneNode(true), ...content].filter((part) => part));
  if (!detail.open) detail.showModal();
  detail.scrollTop = 0;
}

function go(board, kind, name) {
  location.hash = `${board.id}/${kind}/${encodeURIComponent(name)}`;
}

function follow() {
  const [id, kind, name] = location.hash.slice(1).split("/");
  const board = boards.get(id);
  if (!board || name === undefined) { if (detail && detail.open) detail.close(); return; }
  const wanted = decodeURIComponent(name);
  if (kind === "model" && board.model(wanted) >= 0) showModel(board, board.model(wanted));
  else if (kind === "unit" && board.data.units && Number(wanted) < board.data.units.names.length)
    showUnit(board, Number(wanted));
}

function link(text, open) {
  return el("button", {type: "button", class: "link", onclick: open}, broken(text));
}

function modelLink(board, model) {
  const name = board.data.models[model].name;
  return link(name, () => go(board, "model", name));
}

function unitLink(board, unit) {
  return link(board.unit(unit), () => go(board, "unit", unit));
}

function table(label, heads, rows) {
  return el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": label},
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((head, place) =>
      el("th", {scope: "col", class: place ? null : "key"}, head)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, place) =>
      place ? el("td", {}, cell) : el("th", {scope: "row"},
        typeof cell === "string" ? broken(cell) : cell)))))));
}

function metricChooser(board, changed) {
  const select = el("select", {}, board.data.metrics.filter((metric) =>
    !board.data.scores || board.data.scores.of[metric.name]).map((metric) =>
    el("option", {value: metric.name, selected: metric === board.metric},
      `${metric.name} ${metric.up ? "↑" : "↓"}`)));
  select.addEventListener("change", () => {
    board.metric = board.data.metrics.find((metric) => metric.name === select.value);
    changed();
  });
  return el("div", {class: "toolbar"}, el("label", {}, "Metric ", select));
}

function interval(low, high) {
  return low === null ? "–" : `[${show(low)}, ${show(high)}]`;
}

function bytes(value) {
  return value >= 1e9 ? `${(value / 1e9).toFixed(2)} GB` : `${(value / 1e6).toFixed(0)} MB`;
}

function seconds(value) {
  return value >= 3600 ? `${(value / 3600).toFixed(1)} h` : value >= 60
    ? `${(value / 60).toFixed(1)} min` : `${Number(value.toPrecision(3))} s`;
}

function pairs(items) {
  return el("dl", {}, items.filter(([, value]) => value !== "" && value !== null &&
    !(Array.isArray(value) && !value.length)).flatMap(([name, value]) => [el("dt", {}, name),
    el("dd", {}, Array.isArray(value) ? value.map((line) => el("div", {}, line)) : value)]));
}

function recordOf(board, model) {
  const {facts, role} = board.data.models[model], {dataset, split} = board.data;
  if (!facts) return null;
  return el("section", {}, el("h3", {}, "Record"), pairs([
    ["role", role], ["model", facts.base], ["submitted by", facts.submitter],
    ["doubts", facts.doubts], ["notes", facts.notes],
    ["folds", `${facts.folds.length} of ${facts.n_folds} (${facts.folds.join(", ")})`],
    ["fit, all folds", seconds(facts.fit_s)], ["predict", seconds(facts.predict_s)],
    ["score", seconds(facts.score_s)], ["peak memory", bytes(facts.memory)],
    ["device", facts.device], ["threads", JSON.stringify(facts.threads)],
    ["code", facts.code], ["plugins", facts.plugins], ["seed", String(facts.seed)],
    ["data set", `${dataset.name}, sha256 ${dataset.sha256}`],
    ["split", `${split.name} version ${split.version}, sha256 ${split.sha256}`],
    ["DE list", board.data.de_list], ["declared with", `${facts.family} models`],
    ["computed", facts.created], ["record files", facts.keys.map((key) => `runs/${key}.json`)],
  ]), Object.keys(facts.chosen).length ? el("h4", {}, "What it settled on, and contributions")
    : null, pairs(Object.entries(facts.chosen).map(([name, value]) => [name,
    typeof value === "number" ? show(value) : String(value)])),
  el("details", {}, el("summary", {}, "Configuration"),
    el("pre", {tabindex: "0"}, JSON.stringify(facts.config, null, 1))),
  el("details", {}, el("summary", {}, "Versions"),
    el("pre", {tabindex: "0"}, JSON.stringify(facts.versions, null, 1))));
}

function scoresOf(board, model) {
  return table("Scores of the model", ["metric", "value", "95 % interval", "rank", "gap closed",
    "p, corrected", "scored over", "undefined",
    ...board.data.metrics[0].more.map(([heading]) => heading)], board.data.metrics.map((metric) => [
    `${metric.name} ${metric.up ? "↑" : "↓"}${metric.calibrated === false ? "°" : ""}`,
    `${show(metric.value[model])} ${metric.marks[model]}`.trim(),
    interval(metric.low[model], metric.high[model]), metric.rank[model] ?? "–",
    metric.gap[model] === null ? "–" : `${show(metric.gap[model])} ` +
      interval(metric.gaplow[model], metric.gaphigh[model]),
    show(metric.p[model]), metric.n[model], metric.undefined[model],
    ...metric.more.map(([, values]) => values[model] || "–")]));
}

function partsOf(board, model, reference) {
  const {metric} = board, own = board.of(metric, model), beside = board.of(metric, reference);
  const found = [];
  for (const [by, known] of Object.entries(board.data.parts || {})) {
    const part = board.part(by);
    if (!part) {
      if (by === "regime" || by === "effect") found.push(el("p", {class: "muted"},
        `By ${by}: ${known}.`));
      continue;
    }
    const rows = part.names.map((name, place) => {
      const inside = (values) => values.filter((_, unit) => part.places[unit] === place);
      const n = inside(own).filter(Number.isFinite).length;
      return [name, n, show(average(inside(own))), beside ? show(average(inside(beside))) : "–"];
    });
    found.push(el("h4", {}, `By ${by.replace("_", " ")}`), table(`Means by ${by}`,
      ["part", "perturbations", board.data.models[model].name,
        board.data.models[reference] ? board.data.models[reference].name : ""], rows));
  }
  return found;
}

function referenceOf(board, model) {
  const wanted = board.model(board.metric.reference || "");
  return wanted >= 0 && wanted !== model ? wanted
    : board.data.models.findIndex((_, place) => place !== model);
}

function extremes(board, values) {
  const order = values.map((value, unit) => [value, unit]).filter(([value]) =>
    Number.isFinite(value)).sort(([a], [b]) => board.metric.up ? b - a : a - b);
  const half = order.length > 20 ? [order.slice(0, 10), order.slice(-10).reverse()] : [order, []];
  return half.map((items, place) => items.length ? el("div", {}, el("h4", {},
    place ? "Worst perturbations" : half[1].length ? "Best perturbations" : "Perturbations"),
  table(place ? "Worst perturbations" : "Best perturbations", ["perturbation", "value"],
    items.map(([value, unit]) => [unitLink(board, unit), show(value)]))) : null);
}

function changesOf(board, model) {
  const {name} = board.data.models[model], data = board.data.changes || {};
  if (!data.of || !data.of[name]) return el("section", {},
    el("h3", {}, "Predicted against measured change"),
    el("p", {class: "muted"}, `Not shown: ${data.missing || "no predictions of this model are kept"}.`));
  const select = el("input", {type: "search", list: `${board.id}-units`,
    "aria-label": "Perturbation", placeholder: "perturbation"});
  const place = el("div", {class: "charts"});
  const known = board.data.units.names.map((_, unit) => unit).filter((unit) =>
    (board.changes(name, unit) || []).length);
  function draw(unit) {
    const genes = board.changes(name, unit);
    place.replaceChildren(changeChart(genes, data.limit, `${name}, ${board.unit(unit)}`, room(place)),
      table("Measured and predicted change of the top genes", ["gene", "measured", "predicted"],
        genes.map((gene) => [gene.name, show(gene.true), show(gene.predicted)])));
  }
  select.addEventListener("change", () => {
    const unit = known.find((of) => board.unit(of) === select.value);
    if (unit !== undefined) draw(unit);
  });
  if (known.length) { select.value = board.unit(known[0]); draw(known[0]); }
  return el("section", {}, el("h3", {}, "Predicted against measured change"),
    el("p", {class: "muted"}, `The top-20 DE genes; change of mean log1p expression. ` +
      `Predictions beyond ${data.limit} times the largest measured change are drawn at the edge.`),
    el("div", {class: "toolbar"}, el("label", {}, "Perturbation ", select)), place,
    el("datalist", {id: `${board.id}-units`}, known.map((unit) =>
      el("option", {value: board.unit(unit)}))));
}

function showModel(board, model) {
  const {name, role} = board.data.models[model];
  const strip = el("div", {});
  function draw() {
    const {metric} = board, own = board.of(metric, model);
    if (!own) { strip.replaceChildren(el("p", {class: "muted"},
      `No scores of single perturbations: ${(board.data.scores || {}).missing || "none here"}.`));
      return; }
    const reference = referenceOf(board, model), ceiling = board.data.models.findIndex((of, place) =>
      of.role === "ceiling" && of.name !== "truth" && place !== model && board.of(metric, place));
    const rows = [[model, "var(--a)"], [reference, "var(--b)"], [ceiling, "var(--c)"]].filter(
      ([place]) => place >= 0 && board.of(metric, place)).map(([place, colour]) => {
      const values = board.of(metric, place);
      return {name: board.data.models[place].name, colour, values, mean: metric.value[place]};
    });
    const beside = reference >= 0 ? board.of(metric, reference) : null;
    strip.replaceChildren(el("div", {class: "charts"},
      stripChart(rows, metric.name, (unit) => go(board, "unit", unit), room(strip)),
      beside ? pairChart(own, beside, [name, board.data.models[reference].name],
        (unit) => go(board, "unit", unit)) : ""),
    el("p", {class: "muted"}, "Each point is one held-out perturbation; a click opens it. " +
      "The upright line is the mean."),
    el("div", {class: "charts"}, extremes(board, own)), ...partsOf(board, model, reference));
  }
  openDetail(board, `${name}${role === "model" || role === "baseline" ? "" : ` (${role})`}`, [
    scoresOf(board, model),
    board.data.units ? el("section", {}, el("h3", {}, "On each perturbation"),
      metricChooser(board, draw), strip) : null,
    board.data.units ? changesOf(board, model) : null, recordOf(board, model)]);
  if (board.data.units) draw();
}

function reasonOf(board, metric, unit) {
  const place = board.data.metrics.indexOf(metric), {texts, of} = board.data.reasons;
  const found = of.find(([at, where]) => at === place && where === unit);
  return found ? texts[found[2]] : "undefined";
}

function showUnit(board, unit) {
  const {units, models} = board.data, content = el("div", {});
  const named = units.types[units.type[unit]];
  // A data set that names no cell type has one that says nothing.
  const cellType = units.types.length > 1 || named !== "unknown" ? named : "";
  const facts = [["cell type", cellType], ["fold", String(units.folds[unit])],
    ["effect size", units.effect ? show(units.effect[unit]) : ""]];
  for (const by of Object.keys(board.data.parts || {})) {
    const part = board.part(by);
    if (part && part.names[part.places[unit]]) facts.push([by.replace("_", " "),
      part.names[part.places[unit]]]);
  }
  function draw() {
    const {metric} = board;
    const found = models.map((model, place) => ({place, value: (board.of(metric, place) || [])[unit]}))
      .filter(({value}) => value !== undefined && value !== Infinity);
    found.sort((a, b) => Number.isNaN(a.value) - Number.isNaN(b.value) ||
      (metric.up ? b.value - a.value : a.value - b.value));
    const [low, high] = extent(found.map(({value}) => value));
    const bar = (value) => {
      const share = Number.isFinite(value) ? (value - low) / (high - low) * 100 : 0;
      return el("span", {class: "bar"}, el("i", {style: "left:0;width:100%"}),
        el("b", {style: `left:${(metric.up ? share : 100 - share).toFixed(1)}%`}));
    };
    content.replaceChildren(table(`All models on ${board.unit(unit)}`,
      ["model", `${metric.name} ${metric.up ? "↑" : "↓"}`, "right is better", "role"],
      found.map(({place, value}) => [modelLink(board, place),
        Number.isNaN(value) ? `– (${reasonOf(board, metric, unit)})` : show(value),
        Number.isNaN(value) ? "" : bar(value), models[place].role])));
  }
  const withChanges = models.map((model, place) => place).filter((place) =>
    (board.changes(models[place].name, unit) || []).length);
  const changes = el("div", {class: "charts"});
  const select = el("select", {}, withChanges.map((place) => el("option", {value: place},
    models[place].name)));
  const drawChanges = () => changes.replaceChildren(changeChart(
    board.changes(models[select.value].name, unit), board.data.changes.limit,
    `${models[select.value].name}, ${board.unit(unit)}`, room(changes)));
  select.addEventListener("change", drawChanges);
  openDetail(board, board.unit(unit), [pairs(facts), el("section", {}, el("h3", {}, "All models"),
    metricChooser(board, draw), content), el("section", {},
    el("h3", {}, "Predicted against measured change"), withChanges.length
      ? el("div", {class: "toolbar"}, el("label", {}, "Model ", select))
      : el("p", {class: "muted"}, `Not shown: ${(board.data.changes || {}).missing ||
        "no predictions are kept"}.`), changes)]);
  draw();
  if (withChanges.length) drawChanges();
}

function explore(board, place) {
  const {data} = board, {metrics} = data, lead = metrics[0];
  const cost = el("div", {});
  const kinds = {time: {title: "time to fit and predict, all folds", format: seconds,
    of: (facts) => facts.fit_s + facts.predict_s},
  memory: {title: "peak memory", format: bytes, of: (facts) => facts.memory}};
  const chosen = el("select", {}, Object.keys(kinds).map((kind) => el("option", {value: kind}, kind)));
  function drawCost() {
    const kind = kinds[chosen.value];
    const shown = data.models.map((model, at) => ({name: model.name,
      apart: model.role === "ceiling" || model.role === "floor",
      trivial: data.trivial.includes(model.name), value: lead.value[at],
      cost: model.facts ? kind.of(model.facts) : NaN})).filter((model) => model.value !== null &&
      model.cost > 0 && !model.apart);
    cost.replaceChildren(shown.length
      ? costChart(shown, kind, lead.name, lead.up, room(place))
      : el("p", {class: "muted"}, `No model that competes has a value under ${lead.name}.`));
  }
  chosen.addEventListener("change", drawCost);
  const parts = [];
  if (data.models.some((model) => model.facts)) {
    drawCost();
    parts.push(el("section", {}, el("h3", {}, "Cost against accuracy"),
      el("div", {class: "toolbar"}, el("label", {}, "Cost ", chosen)), cost));
  }
  if (metrics.some((metric) => metric.range[0] !== null)) parts.push(el("section", {},
    el("h3", {}, "Calibration of the metrics"), rangeChart(metrics, room(place)),
    el("p", {class: "muted"}, "How far a ceiling lies above the trivial reference: 0 is no better, " +
      "1 is perfect. Grey, and marked °, where the interval does not lie above 0.")));
  place.append(el("div", {class: "charts"}, parts));
  if (data.units) place.append(finder(board));
}

function finder(board) {
  const {names, folds, effect, genes} = board.data.units, found = el("div", {});
  const title = genes.length ? "Held-out perturbations, and genes" : "Held-out perturbations";
  const search = el("input", {type: "search", placeholder: "such as KLF1", "aria-label":
    "Find a perturbation"});
  const more = el("button", {type: "button"}, "Show more");
  let limit = 12;
  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const units = names.map((_, unit) => unit).filter((unit) =>
      board.unit(unit).toLowerCase().includes(wanted));
    found.replaceChildren(table(title, [genes.length ? "perturbation or gene" : "perturbation", "fold",
      ...(effect ? ["effect size"] : [])], units.slice(0, limit).map((unit) =>
      [unitLink(board, unit), folds[unit], ...(effect ? [show(effect[unit])] : [])])),
    el("p", {class: "muted", role: "status"}, `${Math.min(limit, units.length)} of ${units.length} shown`));
    more.hidden = units.length <= limit;
  }
  search.addEventListener("input", () => { limit = 12; draw(); });
  more.addEventListener("click", () => { limit += 100; draw(); });
  draw();
  return el("section", {}, el("h3", {}, title), el("div", {class: "toolbar"},
    el("label", {}, "Find ", search)), found, more);
}

function themes() {
  const button = document.getElementById("theme"), root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let wanted = null;
  function paint() {
    const isDark = wanted === null ? dark.matches : wanted;
    root.dataset.theme = isDark ? "dark" : "light";
    button.textContent = isDark ? "Light mode" : "Dark mode";
  }
  button.addEventListener("click", () => {
    wanted = root.dataset.theme !== "dark";
    paint();
  });
  dark.addEventListener("change", paint);
  button.hidden = false;
  paint();
}

themes();
if (innerWidth < 640)
  for (const notes of document.querySelectorAll(".board > details")) notes.open = false;
for (const toolbar of document.querySelectorAll(".board > .toolbar"))
  controlTable(toolbar, toolbar.nextElementSibling.querySelector("table"));
for (const section of document.querySelectorAll(".board")) {
  const text = section.querySelector("script.data");
  if (!text) continue;
  const board = new Board(section, JSON.parse(text.textContent));
  boards.set(section.id, board);
  for (const name of section.querySelectorAll("th .name")) {
    const model = name.textContent;
    if (board.model(model) < 0) continue;
    name.replaceWith(link(model, () => go(board, "model", model)));
  }
  explore(board, section.querySelector(".explore"));
}
if (detail) {
  document.getElementById("close").addEventListener("click", () => detail.close());
  detail.addEventListener("close", () => {
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  });
  window.addEventListener("hashchange", follow);
  follow();
}
