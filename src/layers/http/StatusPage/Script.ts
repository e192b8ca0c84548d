/**
 * The script of the status page, as text: it goes into the page whole, and its hash into the policy. It moves what `/events` brings
 * into place, counts rates, and lets the markets be filtered and sorted. Plain ES2017: there is no build step.
 */
export const script = String.raw`
"use strict";
(function () {
  var doc = document, by = function (id) { return doc.getElementById(id) };
  var link = by("link"), filter = by("filter"), staleOnly = by("stale-only");
  var seen = [], sort = { column: -1, down: false }, states = {}, shownAt = 0;

  function number(id, from) { return Number(from.querySelector("#" + id).dataset.value) }
  function show(id, text) { var one = by(id); if (one && one.textContent !== text) one.textContent = text }
  function round(n) { return n >= 10 ? String(Math.round(n)).replace(/\B(?=(?:\d{3})+$)/g, "\u202f") : n > 0 ? n.toFixed(1) : "0" }

  // Over the last ten seconds of the service's own clock: what comes late, or two at once, says nothing of the pace.
  function rates(page) {
    var now = { at: Number(page.querySelector("#received").dataset.at), received: number("received", page), delivered: number("delivered", page) };
    var newest = seen.length > 0 ? seen[seen.length - 1].at : now.at - 1;
    // An older service does not say when.
    if (!(now.at > 0) || now.at === newest) return;
    // Its clock was set back.
    if (now.at < newest) seen = [];
    seen.push(now);
    while (now.at - seen[0].at > 10500) seen.shift();
    var first = seen[0], seconds = (now.at - first.at) / 1000;
    if (seconds < 0.9) return;
    show("received-rate", round(Math.max(0, (now.received - first.received) / seconds)) + " /s");
    show("delivered-rate", round(Math.max(0, (now.delivered - first.delivered) / seconds)) + " /s");
  }

  function log(page) {
    page.querySelectorAll("[data-state]").forEach(function (one) {
      var key = one.dataset.key, state = one.dataset.state, before = states[key];
      states[key] = state;
      if (before === undefined || before === state) return;
      var item = doc.createElement("li");
      item.textContent = new Date().toISOString().slice(11, 19) + "  " + key + ": " + before + " → " + state;
      by("log").prepend(item);
      while (by("log").children.length > 100) by("log").lastChild.remove();
    });
  }

  function arrange() {
    var body = doc.querySelector("#markets tbody");
    var wanted = filter.value.trim().toLowerCase();
    var rows = Array.from(body.rows);
    if (sort.column >= 0) {
      var key = function (row) {
        var cell = row.cells[sort.column], text = cell.dataset.sort || cell.textContent;
        return isNaN(text) ? text : Number(text);
      };
      rows.sort(function (a, b) { var x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * (sort.down ? -1 : 1) });
      body.append.apply(body, rows);
    }
    var shown = 0;
    rows.forEach(function (row) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted) || staleOnly.checked && !row.dataset.stale;
      if (!row.hidden) shown += 1;
    });
    show("shown", shown + " of " + rows.length);
  }

  // Only what differs is touched: a table of a thousand rows, and what the pointer rests on, stay as they are.
  function move(old, fresh) {
    if (old.className !== fresh.className) old.className = fresh.className;
    if (old.innerHTML !== fresh.innerHTML) old.replaceChildren.apply(old, Array.from(fresh.childNodes));
  }
  function patch(body, fresh) {
    var known = new Map(), place = 0;
    Array.from(body.rows).forEach(function (row, i) { known.set(row.dataset.row || i, row) });
    Array.from(fresh.rows).forEach(function (row, i) {
      var name = row.dataset.row || i, old = known.get(name);
      known.delete(name);
      if (!old || old.cells.length !== row.cells.length) {
        if (old) old.remove();
        body.append(doc.adoptNode(row));
        return;
      }
      if (old.dataset.stale !== row.dataset.stale) { if (row.dataset.stale) old.dataset.stale = "1"; else delete old.dataset.stale }
      for (place = 0; place < row.cells.length; place++) {
        var cell = row.cells[place];
        if (cell.dataset.sort !== undefined) old.cells[place].dataset.sort = cell.dataset.sort;
        move(old.cells[place], cell);
      }
    });
    known.forEach(function (row) { row.remove() });
  }

  function update(html) {
    var page = new DOMParser().parseFromString(html, "text/html");
    log(page);
    rates(page);
    page.querySelectorAll("tbody[id]").forEach(function (fresh) { if (by(fresh.id)) patch(by(fresh.id), fresh) });
    page.querySelectorAll("[data-live]").forEach(function (fresh) { if (by(fresh.id)) move(by(fresh.id), fresh) });
    var summary = page.querySelector("#summary");
    if (summary) by("summary").dataset.status = summary.dataset.status;
    if (summary) doc.title = summary.dataset.status + " - exchange-feeds";
    arrange();
    shownAt = performance.now();
  }

  doc.querySelectorAll("#markets th button").forEach(function (button, column) {
    button.addEventListener("click", function () {
      sort = { column: column, down: sort.column === column && !sort.down };
      doc.querySelectorAll("#markets th").forEach(function (th, i) {
        th.setAttribute("aria-sort", i !== column ? "none" : sort.down ? "descending" : "ascending");
      });
      arrange();
    });
  });
  filter.addEventListener("input", arrange);
  staleOnly.addEventListener("change", arrange);

  var source;
  function open() {
    if (source || doc.hidden) return;
    source = new EventSource("events");
    source.onopen = function () { link.textContent = "live" };
    source.onerror = function () {
      link.textContent = "no connection, trying again";
      // After an answer other than 200 the browser gives up by itself.
      if (source.readyState === 2) { source = undefined; setTimeout(open, 2000) }
    };
    source.onmessage = function (message) { update(JSON.parse(message.data)) };
  }
  function close() { if (source) source.close(); source = undefined; seen = [] }
  doc.addEventListener("visibilitychange", function () { if (doc.hidden) close(); else open() });
  setInterval(function () {
    if (shownAt) show("age", "updated " + ((performance.now() - shownAt) / 1000).toFixed(0) + " s ago");
  }, 1000);
  arrange();
  open();
})();
`
