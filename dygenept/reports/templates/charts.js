// Charts as SVG elements. Every chart has a text beside it or a table below it that says the same.
const SVG = "http://www.w3.org/2000/svg";

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// A name that may be broken behind its underscores.
function broken(text) {
  return text.split(/(?<=_)/).flatMap((part, place) => place ? [el("wbr"), part] : [part]);
}

function mark(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function frame(width, height, label) {
  return mark("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": label});
}

function show(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  // As dygenept.machine.plain_text writes numbers; what rounds to zero has no minus.
  const size = Math.abs(value);
  const text = value.toFixed(size > 0 && size < 0.001
    ? Math.min(1 - Math.floor(Math.log10(size)), 8) : size > 0 && size < 0.1 ? 4 : 3);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

function ticks(low, high, n) {
  const span = high - low || 1, raw = span / n;
  const unit = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = unit * [1, 2, 5, 10].find((times) => times * unit >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(at);
  return found.map((at) => Math.abs(at) < step * 1e-6 ? 0 : at);
}

function tickText(value) {
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

function linear(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + (to - from) * (value - low) / span;
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (Number.isFinite(value)) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  const pad = (high - low || Math.abs(high) || 1) * 0.05;
  return [low - pad, high + pad];
}

function axes(svg, box, x, y, xs, ys, titles, format) {
  for (const at of xs) {
    svg.append(mark("line", {x1: x(at), x2: x(at), y1: box.top, y2: box.bottom, class: "grid"}));
    svg.append(mark("text", {x: x(at), y: box.bottom + 15, "text-anchor": "middle",
      class: "faint"}, format ? format(at) : tickText(at)));
  }
  for (const at of ys) {
    svg.append(mark("line", {x1: box.left, x2: box.right, y1: y(at), y2: y(at), class: "grid"}));
    svg.append(mark("text", {x: box.left - 6, y: y(at) + 4, "text-anchor": "end",
      class: "faint"}, tickText(at)));
  }
  svg.append(mark("text", {x: (box.left + box.right) / 2, y: box.bottom + 32,
    "text-anchor": "middle"}, titles[0]));
  svg.append(mark("text", {x: 12, y: (box.top + box.bottom) / 2, "text-anchor": "middle",
    transform: `rotate(-90 12 ${(box.top + box.bottom) / 2})`}, titles[1]));
}

// Many points as one path each: round caps of lines without length.
function cloud(svg, points, colour, size) {
  const path = points.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
  svg.append(mark("path", {d: path, stroke: colour, "stroke-width": size, "stroke-linecap": "round",
    fill: "none", "stroke-opacity": 0.55}));
}

// Calls back with the nearest point of a click; the mouse's place is told in a title.
function pick(svg, points, chosen) {
  svg.classList.add("hit");
  svg.addEventListener("click", (event) => {
    const at = svg.createSVGPoint();
    at.x = event.clientX; at.y = event.clientY;
    const place = at.matrixTransform(svg.getScreenCTM().inverse());
    let best = null, nearest = 400;
    for (const point of points) {
      const away = (point[0] - place.x) ** 2 + (point[1] - place.y) ** 2;
      if (away < nearest) { nearest = away; best = point; }
    }
    if (best) chosen(best[2]);
  });
}

function stripChart(rows, title, chosen, room) {
  const width = Math.max(300, Math.min(620, room)), left = width < 480 ? 120 : 150;
  const most = width < 480 ? 16 : 22, step = 46, height = rows.length * step + 50;
  const box = {left, right: width - 12, top: 8, bottom: height - 42};
  const [low, high] = extent(rows.flatMap((row) => row.values));
  const x = linear(low, high, box.left, box.right);
  const svg = frame(width, height, `${title}: one point per held-out perturbation for ` +
    rows.map((row) => `${row.name} (mean ${show(row.mean)})`).join(", "));
  axes(svg, box, x, () => 0, ticks(low, high, width < 480 ? 4 : 6), [], [title, ""]);
  const points = [];
  rows.forEach((row, place) => {
    const middle = box.top + step * (place + 0.5), own = [];
    row.values.forEach((value, unit) => {
      if (!Number.isFinite(value)) return;
      // The same height for a perturbation in every row.
      const spread = ((unit * 7919) % 1009) / 1009 - 0.5;
      own.push([x(value), middle + spread * step * 0.6, unit]);
    });
    cloud(svg, own, row.colour, own.length > 400 ? 2.5 : 4);
    points.push(...own);
    if (Number.isFinite(row.mean)) svg.append(mark("line", {x1: x(row.mean), x2: x(row.mean),
      y1: middle - step * 0.4, y2: middle + step * 0.4, stroke: "var(--text)", "stroke-width": 2}));
    const name = row.name.length > most ? `${row.name.slice(0, most - 1)}…` : row.name;
    svg.append(mark("text", {x: left - 8, y: middle + 4, "text-anchor": "end"}, name));
  });
  pick(svg, points, chosen);
  return svg;
}

function pairChart(first, second, names, chosen) {
  const size = 380, box = {left: 56, right: size - 10, top: 10, bottom: size - 44};
  const [low, high] = extent([...first, ...second]);
  const x = linear(low, high, box.left, box.right), y = linear(low, high, box.bottom, box.top);
  const points = [];
  let above = 0;
  first.forEach((value, unit) => {
    if (!Number.isFinite(value) || !Number.isFinite(second[unit])) return;
    points.push([x(second[unit]), y(value), unit]);
    if (value > second[unit]) above += 1;
  });
  const svg = frame(size, size, `${names[0]} against ${names[1]} on each perturbation: ` +
    `${names[0]} has the larger value on ${above} of ${points.length}`);
  axes(svg, box, x, y, ticks(low, high, 5), ticks(low, high, 5), [names[1], names[0]]);
  svg.append(mark("line", {x1: x(low), y1: y(low), x2: x(high), y2: y(high), class: "ref"}));
  cloud(svg, points, "var(--a)", points.length > 400 ? 2.5 : 4);
  pick(svg, points, chosen);
  return svg;
}

function changeChart(genes, limit, title, room) {
  const width = Math.max(300, Math.min(460, room)), height = 400, box = {left: 60, right: width - 70, top: 12, bottom: height - 44};
  const [low, high] = extent(genes.flatMap((gene) => [gene.true, gene.predicted, 0]));
  const x = linear(low, high, box.left, box.right), y = linear(low, high, box.bottom, box.top);
  const right = genes.filter((gene) => gene.true * gene.predicted > 0).length;
  const svg = frame(width, height, `${title}: predicted against measured change of ` +
    `${genes.length} genes; ${right} have the right sign. The table beside it has the numbers.`);
  axes(svg, box, x, y, ticks(low, high, 5), ticks(low, high, 5),
    ["measured change (log1p expression)", "predicted change"]);
  svg.append(mark("line", {x1: x(low), y1: y(low), x2: x(high), y2: y(high), class: "ref"}));
  svg.append(mark("line", {x1: x(0), y1: box.top, x2: x(0), y2: box.bottom, class: "axis"}));
  svg.append(mark("line", {x1: box.left, y1: y(0), x2: box.right, y2: y(0), class: "axis"}));
  const placed = [];
  for (const gene of genes) {
    svg.append(mark("circle", {cx: x(gene.true), cy: y(gene.predicted), r: 4, fill: "var(--a)"}));
    let at = y(gene.predicted) + 4;
    // A name that would lie upon another one moves down.
    while (placed.some(([left, top]) => Math.abs(left - x(gene.true)) < 62 &&
      Math.abs(top - at) < 11)) at += 11;
    placed.push([x(gene.true), at]);
    if (at < box.bottom) svg.append(mark("text", {x: x(gene.true) + 7, y: at, "font-size": 11},
      gene.name));
  }
  return svg;
}

// Round values between two logarithms: powers of ten, or with 2 and 5 between where these are few.
function logTicks(low, high) {
  const found = (times) => {
    const ends = [];
    for (let power = Math.floor(low); power <= Math.ceil(high); power += 1)
      for (const of of times) {
        const at = power + Math.log10(of);
        if (at >= low && at <= high) ends.push(at);
      }
    return ends;
  };
  const choices = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]].map(found);
  return choices.find((ends) => ends.length > 2) || choices[3];
}

function costChart(models, axis, title, up, room) {
  const width = Math.max(300, Math.min(560, room)), height = 340;
  const box = {left: 60, right: width - (width < 480 ? 70 : 130), top: 12, bottom: height - 44};
  const logs = models.map((model) => Math.log10(Math.max(model.cost, 1e-9)));
  const [low, high] = extent(logs), [bottom, top] = extent(models.map((model) => model.value));
  const x = linear(low, high, box.left, box.right);
  const y = up ? linear(bottom, top, box.bottom, box.top) : linear(bottom, top, box.top, box.bottom);
  const svg = frame(width, height, `${axis.title} against ${title} of ${models.length} models`);
  axes(svg, box, x, y, logTicks(low, high), ticks(bottom, top, 5),
    [`${axis.title} (log scale)`, `${title}${up ? "" : " (turned round: better is up)"}`],
    (at) => axis.format(Math.pow(10, at)));
  const placed = [];
  for (const model of models) {
    const across = x(Math.log10(Math.max(model.cost, 1e-9)));
    svg.append(mark("circle", {cx: across, cy: y(model.value), r: 5,
      fill: model.trivial ? "var(--ref)" : "var(--a)"}));
  }
  for (const model of models) {
    const across = x(Math.log10(Math.max(model.cost, 1e-9)));
    let at = y(model.value) + 4;
    while (placed.some(([left, down]) => Math.abs(left - across) < 110 &&
      Math.abs(down - at) < 12)) at += 12;
    placed.push([across, at]);
    const name = model.name.length > 26 ? `${model.name.slice(0, 25)}…` : model.name;
    if (at > y(model.value) + 5) svg.append(mark("line", {x1: across, y1: y(model.value),
      x2: across + 7, y2: at - 4, class: "axis"}));
    if (at < box.bottom) svg.append(mark("text", {x: across + 8, y: at, "font-size": 11}, name));
  }
  return svg;
}

function rangeChart(metrics, room) {
  const width = Math.max(320, Math.min(560, room)), step = 22, left = width < 480 ? 160 : 240, height = metrics.length * step + 44;
  const box = {left, right: width - 12, top: 6, bottom: height - 38};
  const x = linear(-0.2, 1, box.left, box.right);
  const svg = frame(width, height, "Dynamic range of each metric: " + metrics.map((metric) =>
    `${metric.name} ${show(metric.range[0])}`).join(", "));
  axes(svg, box, x, () => 0, [0, 0.25, 0.5, 0.75, 1], [], ["dynamic range", ""]);
  svg.append(mark("line", {x1: x(0), x2: x(0), y1: box.top, y2: box.bottom, class: "axis"}));
  metrics.forEach((metric, place) => {
    const y = box.top + step * (place + 0.5);
    const colour = metric.calibrated ? "var(--a)" : "var(--muted)";
    svg.append(mark("text", {x: left - 8, y: y + 4, "text-anchor": "end",
      class: metric.calibrated ? "" : "faint"}, `${metric.name}${metric.calibrated ? "" : " °"}`));
    const [value, low, high] = metric.range;
    const at = (number) => x(Math.max(-0.2, Math.min(1, number)));
    if (low !== null) svg.append(mark("line", {x1: at(low), x2: at(high), y1: y, y2: y,
      stroke: colour, "stroke-width": 3}));
    if (value !== null) svg.append(mark("circle", {cx: at(value), cy: y, r: 4.5, fill: colour}));
  });
  return svg;
}
