"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const facts = JSON.parse(byId("facts").textContent);
  const { width, height, layers } = facts;
  const panels = byId("panels");
  // in a frame without an address of its own, "#area" is a place in the page around it
  if (location.protocol === "about:")
    document.addEventListener("click", (event) => {
      const link = event.target.closest('a[href^="#"]');
      if (!link) return;
      event.preventDefault();
      const place = byId(link.getAttribute("href").slice(1));
      place.scrollIntoView();
      place.focus({ preventScroll: true });
    });
  if (!layers.length) return;
  const LARGEST = 64; // pixels of the screen for one cell
  const aspect = facts.aspect; // height of a cell over its width
  const view = { x: width / 2, y: height / 2, scale: 1 }; // cell in the middle, pixels for a cell
  let cross = { column: Math.floor(width / 2), row: Math.floor(height / 2) };
  let size = { width: 0, height: 0 }; // of a panel, in pixels of CSS
  let whole = true;

  // What a layer has in it

  async function inflated(id) {
    const binary = atob(byId(id).textContent);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function codesOf(layer, bytes) {
    if (layer.form === "codes") return bytes;
    const cells = width * height;
    const codes = new Uint16Array(cells);
    for (let i = 0; i < cells; i++) {
      const left = i % width ? codes[i - 1] : 0;
      codes[i] = left + bytes[i] + bytes[cells + i] * 256;
    }
    return codes;
  }

  const word = new Uint32Array(1);
  const float = new Float32Array(word.buffer);

  function numberOf(layer, code) {
    if (layer.form === "even") return code ? layer.low + (code - 1) * layer.step : NaN;
    word[0] = code * 65536;
    return float[0];
  }

  // How it looks

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  function rampOf(stops) {
    const colours = stops.map(channels);
    return Array.from({ length: 256 }, (_, i) => {
      const place = (i / 255) * (colours.length - 1);
      const below = Math.min(Math.floor(place), colours.length - 2);
      return colours[below].map((c, k) => c + (colours[below + 1][k] - c) * (place - below));
    });
  }

  function flagNames(layer, code) {
    return layer.bits.filter((bit) => code & bit.bit).map((bit) => bit.name);
  }

  function painterOf(layer) {
    if (layer.kind === "number") {
      const ramp = rampOf(layer.ramp);
      const range = layer.to - layer.from || 1;
      return (code) => {
        const value = numberOf(layer, code);
        if (Number.isNaN(value)) return null;
        const place = Math.round(((value - layer.from) / range) * 255);
        return ramp[Math.max(0, Math.min(255, place))];
      };
    }
    const colours = {};
    const colourOf = (code) => {
      if (layer.colours[code] !== undefined) return channels(layer.colours[code]);
      if (code === 0) return layer.zero ? channels(layer.zero) : null;
      const bits = layer.bits.filter((bit) => code & bit.bit);
      return channels(bits.length === 1 && bits[0].colour ? bits[0].colour : layer.several);
    };
    return (code) => (code in colours ? colours[code] : (colours[code] = colourOf(code)));
  }

  function pictureOf(layer) {
    const picture = document.createElement("canvas");
    picture.width = width;
    picture.height = height;
    const context = picture.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const packed = (colour) => {
      const [red, green, blue] = (colour || channels(facts.nothing)).map(Math.round);
      return (255 << 24) | (blue << 16) | (green << 8) | red;
    };
    const painter = painterOf(layer);
    const nothing = packed(null);
    const excluded = packed(channels(facts.excluded));
    const table = new Uint32Array(layer.form === "codes" ? 256 : 65536);
    for (let code = 0; code < table.length; code++) table[code] = packed(painter(code));
    const mask = layer.mask === null ? null : layers[layer.mask].codes;
    const looked = layer.sampled && facts.looked !== null ? layers[facts.looked].codes : null;
    for (let i = 0; i < pixels.length; i++) {
      if (looked && !looked[i]) pixels[i] = nothing;
      else pixels[i] = mask && mask[i] ? excluded : table[layer.codes[i]];
    }
    context.putImageData(image, 0, 0);
    return picture;
  }

  // Where it is

  function fitted() {
    return Math.min(size.width / width, size.height / (height * aspect));
  }

  function keepInside() {
    const least = fitted();
    view.scale = Math.max(least, Math.min(Math.max(LARGEST, least), view.scale));
    whole = view.scale <= least * 1.0001;
    if (whole) view.scale = least;
    for (const [axis, cells, pixels] of [
      ["x", width, size.width / view.scale],
      ["y", height, size.height / view.scale / aspect],
    ]) {
      // what is shown does not leave the area by more than half a panel
      view[axis] = whole && pixels >= cells ? cells / 2 : Math.max(0, Math.min(cells, view[axis]));
    }
    panels.classList.toggle("zoomed", !whole);
  }

  function cellAt(x, y) {
    return {
      column: Math.floor(view.x + (x - size.width / 2) / view.scale),
      row: Math.floor(view.y + (y - size.height / 2) / view.scale / aspect),
    };
  }

  function placeOf(column, row) {
    return {
      x: size.width / 2 + (column - view.x) * view.scale,
      y: size.height / 2 + (row - view.y) * view.scale * aspect,
    };
  }

  function zoom(factor, x = size.width / 2, y = size.height / 2) {
    const before = view.scale;
    const least = fitted();
    view.scale = Math.max(least, Math.min(Math.max(LARGEST, least), before * factor));
    const change = 1 / before - 1 / view.scale;
    view.x += (x - size.width / 2) * change;
    view.y += ((y - size.height / 2) * change) / aspect;
    draw();
  }

  function move(x, y) {
    view.x -= x / view.scale;
    view.y -= y / view.scale / aspect;
    draw();
  }

  function showWhole() {
    Object.assign(view, { x: width / 2, y: height / 2, scale: fitted() });
    draw();
  }

  function pointAt(column, row) {
    if (column < 0 || row < 0 || column >= width || row >= height) return;
    cross = { column, row };
    tell();
    draw();
  }

  function follow() {
    const place = placeOf(cross.column + 0.5, cross.row + 0.5);
    const outX = Math.min(place.x, 0) + Math.max(place.x - size.width, 0);
    const outY = Math.min(place.y, 0) + Math.max(place.y - size.height, 0);
    if (outX || outY) move(-outX, -outY);
  }

  // Drawing

  let asked = false;
  function draw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      drawNow();
    });
  }

  function drawNow() {
    measure();
    keepInside();
    const ratio = window.devicePixelRatio || 1;
    for (const layer of layers) {
      if (!layer.panel || layer.panel.hidden) continue;
      layer.picture = layer.picture || pictureOf(layer);
      const canvas = layer.canvas;
      const [wide, high] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
      if (canvas.width !== wide || canvas.height !== high) {
        canvas.width = wide;
        canvas.height = high;
      }
      const context = canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = facts.nothing;
      context.fillRect(0, 0, size.width, size.height);
      context.imageSmoothingEnabled = layer.kind === "number" && view.scale < 1;
      const corner = placeOf(0, 0);
      const [across, down] = [width * view.scale, height * view.scale * aspect];
      context.drawImage(layer.picture, corner.x, corner.y, across, down);
      context.strokeStyle = "#555";
      context.lineWidth = 1;
      context.strokeRect(corner.x, corner.y, across, down);
      drawCross(context);
      drawScaleBar(context);
    }
    panels.dataset.view = JSON.stringify({ ...view, ...cross, whole });
  }

  function drawCross(context) {
    const place = placeOf(cross.column + 0.5, cross.row + 0.5);
    const [x, y] = [Math.round(place.x) + 0.5, Math.round(place.y) + 0.5];
    const gap = Math.max(4, Math.min(40, view.scale / 2 + 2));
    for (const [colour, wide, opacity] of [["#000", 2.5, 0.35], ["#fff", 1, 0.9]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.beginPath();
      for (const [fromX, fromY, toX, toY] of [
        [0, y, x - gap, y], [x + gap, y, size.width, y],
        [x, 0, x, y - gap], [x, y + gap, x, size.height],
      ]) {
        context.moveTo(fromX, fromY);
        context.lineTo(toX, toY);
      }
      context.globalAlpha = opacity;
      context.stroke();
      context.globalAlpha = 1;
    }
  }

  function drawScaleBar(context) {
    if (!facts.metres) return;
    const most = (size.width / 3 / view.scale) * facts.metres;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((n) => n * power).find((n) => n <= most);
    const pixels = (length / facts.metres) * view.scale;
    const text = length >= 1000 ? `${length / 1000} km` : `${+length.toPrecision(3)} m`;
    const [x, y] = [8, size.height - 9];
    context.font = "12px system-ui, sans-serif";
    const wide = Math.max(pixels, context.measureText(text).width);
    context.fillStyle = "rgba(255, 255, 255, 0.8)";
    context.fillRect(x - 4, y - 19, wide + 8, 25);
    context.fillStyle = "#000";
    context.fillRect(x, y, pixels, 3);
    context.fillText(text, x, y - 5);
  }

  function measure() {
    const shown = layers.find((layer) => layer.panel && !layer.panel.hidden);
    if (!shown) return;
    const wide = shown.canvas.clientWidth;
    if (!wide) return;
    const high = Math.round(wide * Math.max(0.5, Math.min(1.25, (height * aspect) / width)));
    if (wide === size.width && high === size.height) return;
    const keep = size.width && !whole ? wide / size.width : null;
    size = { width: wide, height: high };
    for (const layer of layers) if (layer.canvas) layer.canvas.style.height = `${high}px`;
    if (keep) view.scale *= keep;
    else Object.assign(view, { x: width / 2, y: height / 2, scale: fitted() });
  }

  // What is under the crosshair

  function shownNumber(layer, value) {
    if (Number.isNaN(value)) return null;
    if (!Number.isFinite(value)) return value > 0 ? "infinite" : "minus infinite";
    if (layer.form !== "even") return String(+value.toPrecision(3));
    if (!layer.step) return String(+value.toPrecision(6));
    const digits = Math.ceil(-Math.log10(layer.step));
    if (digits > 12 || digits < -6) return value.toPrecision(5);
    return value.toFixed(Math.max(0, digits)).replace(/^-(0(\.0*)?)$/, "$1");
  }

  function reading(layer) {
    const at = cross.row * width + cross.column;
    const code = layer.codes[at];
    if (layer.sampled && facts.looked !== null && !layers[facts.looked].codes[at])
      return "not read for these maps";
    if (layer.kind !== "number") {
      const names = flagNames(layer, code);
      return names.length ? names.join(", ") : layer.none;
    }
    const text = shownNumber(layer, numberOf(layer, code));
    const value = text === null ? "no value" : layer.units ? `${text} ${layer.units}` : text;
    const mask = layer.mask === null ? null : layers[layer.mask];
    const why = mask && mask.codes[at] ? flagNames(mask, mask.codes[at]).join(", ") : "";
    return why ? `${value}; excluded: ${why}` : value;
  }

  function spot(column, row) {
    const [down, across] = [facts.rows[row], facts.columns[column]];
    const lines = [["row, column", `${down}, ${across}`]];
    let x = null;
    let y = null;
    if (facts.affine) {
      const [a, b, c, d, e, f] = facts.affine;
      x = a * (across + 0.5) + b * (down + 0.5) + c;
      y = d * (across + 0.5) + e * (down + 0.5) + f;
    } else if (facts.labels) {
      x = facts.labels.x[column];
      y = facts.labels.y[row];
    }
    if (x !== null && facts.ball !== "native") {
      lines.push([facts.names.x, `${+x.toPrecision(10)}${facts.unit}`]);
      lines.push([facts.names.y, `${+y.toPrecision(10)}${facts.unit}`]);
    }
    const degrees = degreesAt(down, across, x, y);
    if (degrees) {
      lines.push(["longitude", degrees[0]]);
      lines.push(["latitude", degrees[1]]);
    }
    return lines;
  }

  function degreesAt(down, across, x, y) {
    const ball = facts.ball;
    if (!ball) return null;
    const said = (n, letters) => `${Math.abs(n).toFixed(5)}° ${letters[n < 0 ? 1 : 0]}`;
    const both = (longitude, latitude) => [said(longitude, "EW"), said(latitude, "NS")];
    if (ball === "native") return both(((((x + 180) % 360) + 360) % 360) - 180, y);
    const u = ((across + 0.5) / facts.size[1]) * (ball.columns - 1);
    const v = ((down + 0.5) / facts.size[0]) * (ball.rows - 1);
    const left = Math.min(Math.floor(u), ball.columns - 2);
    const top = Math.min(Math.floor(v), ball.rows - 2);
    const vector = [0, 0, 0];
    for (const [i, j, weight] of [
      [top, left, (1 - u + left) * (1 - v + top)], [top, left + 1, (u - left) * (1 - v + top)],
      [top + 1, left, (1 - u + left) * (v - top)], [top + 1, left + 1, (u - left) * (v - top)],
    ])
      for (let k = 0; k < 3; k++) vector[k] += weight * ball.vectors[(i * ball.columns + j) * 3 + k];
    if (vector.some(Number.isNaN)) return ["off the map", "off the map"];
    const [px, py, pz] = vector;
    const turn = 180 / Math.PI;
    return both(Math.atan2(py, px) * turn, Math.atan2(pz, Math.hypot(px, py)) * turn);
  }

  function rowsInto(body, lines) {
    body.replaceChildren(
      ...lines.map(([name, value]) => {
        const row = document.createElement("tr");
        const head = document.createElement("th");
        head.scope = "row";
        head.textContent = name;
        const cell = document.createElement("td");
        // a line ends between words, not at the hyphen of 3.2e-05
        for (const part of value.split(/(\S*\de-\d+)/)) {
          const piece = document.createElement("span");
          piece.textContent = part;
          if (/\de-\d+$/.test(part)) piece.className = "whole";
          cell.append(piece);
        }
        row.append(head, cell);
        return row;
      }),
    );
  }

  let later = 0;
  function tell() {
    const where = spot(cross.column, cross.row);
    const shown = layers.filter((layer) => layer.title !== null);
    const values = shown.map((layer) => [layer.title, reading(layer)]);
    rowsInto(byId("position"), where);
    rowsInto(byId("readings"), values);
    shown.forEach((layer, i) => {
      if (layer.value) layer.value.textContent = values[i][1];
    });
    clearTimeout(later);
    later = setTimeout(() => {
      const heard = values.filter((_, i) => shown[i].panel && !shown[i].panel.hidden);
      byId("spoken").textContent = [...where, ...heard].map((line) => line.join(" ")).join("; ");
    }, 600);
  }

  // What a user does

  const fingers = new Map();
  let dragged = false;

  function positionIn(event) {
    const box = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - box.left - 1, y: event.clientY - box.top - 1 };
  }

  function pointTo({ x, y }) {
    const cell = cellAt(x, y);
    pointAt(cell.column, cell.row);
  }

  function pressed(event) {
    fingers.set(event.pointerId, positionIn(event));
    event.currentTarget.setPointerCapture(event.pointerId);
    dragged = fingers.size > 1;
  }

  function moved(event) {
    const now = positionIn(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") pointTo(now);
      return;
    }
    const [x, y] = [now.x - before.x, now.y - before.y];
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const apart = (a) => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
      zoom(apart(now) / apart(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
      move(x / 2, y / 2);
    } else if (dragged || Math.hypot(x, y) > 3) {
      dragged = true;
      move(x, y);
    } else return;
    fingers.set(event.pointerId, now);
  }

  function released(event) {
    if (fingers.delete(event.pointerId) && !dragged && event.type === "pointerup")
      pointTo(positionIn(event));
    if (!fingers.size) dragged = false;
  }

  function turned(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const { x, y } = positionIn(event);
    zoom(Math.exp(-Math.max(-300, Math.min(300, event.deltaY * lines)) / 400), x, y);
  }

  const part = () => size.width / 8;
  const deeds = {
    in: () => zoom(1.5),
    out: () => zoom(1 / 1.5),
    left: () => move(part(), 0),
    right: () => move(-part(), 0),
    up: () => move(0, part()),
    down: () => move(0, -part()),
    whole: showWhole,
  };
  const keys = {
    "+": "in", "=": "in", "-": "out", _: "out", 0: "whole",
    ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
  };
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    if (event.shiftKey && event.key in steps) {
      const [across, down] = steps[event.key];
      pointAt(cross.column + across, cross.row + down);
      follow();
    } else deeds[keys[event.key]]();
  }

  function listen() {
    for (const layer of layers) {
      if (!layer.canvas) continue;
      layer.canvas.addEventListener("pointerdown", pressed);
      layer.canvas.addEventListener("pointermove", moved);
      for (const name of ["pointerup", "pointercancel"]) layer.canvas.addEventListener(name, released);
      layer.canvas.addEventListener("wheel", turned, { passive: false });
    }
    panels.addEventListener("keydown", typed);
    for (const button of document.querySelectorAll("button[data-do]"))
      button.addEventListener("click", () => deeds[button.dataset.do]());
    for (const box of document.querySelectorAll("input[data-layer]"))
      box.addEventListener("change", () => {
        layers[box.dataset.layer].panel.hidden = !box.checked;
        draw();
      });
    new ResizeObserver(draw).observe(panels);
    window.addEventListener("beforeprint", drawNow);
  }

  async function start() {
    for (const [number, layer] of layers.entries()) {
      layer.codes = codesOf(layer, await inflated(`layer-${number}`));
      layer.panel = byId(`panel-${number}`);
      layer.canvas = layer.panel && layer.panel.querySelector("canvas");
      layer.value = layer.panel && layer.panel.querySelector(".value");
    }
    if (facts.ball && facts.ball !== "native")
      facts.ball.vectors = new Float32Array((await inflated("ball")).buffer);
    // a browser that went back to this page may have kept what was chosen
    for (const box of document.querySelectorAll("input[data-layer]"))
      layers[box.dataset.layer].panel.hidden = !box.checked;
    listen();
    tell();
    drawNow();
    panels.dataset.ready = "yes";
  }

  start().catch((error) => {
    const place = byId("failure");
    place.textContent = `The maps cannot be drawn in this browser (${error.message}). The tables below need no script.`;
    place.hidden = false;
  });
})();
