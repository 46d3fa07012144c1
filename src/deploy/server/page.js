// The page's own part: asks, shows, and moves by keys. Whatever comes from indexed code is set as text.
"use strict";

const byId = (id) => document.getElementById(id);
const fields = { q: byId("query"), lang: byId("lang"), path: byId("path"), fusion: byId("fusion"), top: byId("top") };
const defaults = { fusion: "none", top: "10" };
const answers = byId("answers"), status = byId("status");
const EXAMPLES = ["open a file and retry on failure", "parse a date from a string", "merge two sorted lists"];
const SHORT = 13; // lines of code that are shown at once
let indexes = [], chosen = null, asking = null;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

async function ask(url, signal) {
  let response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: start it again and reload the page.");
  }
  const value = await response.json();
  if (!response.ok) throw new Error(value.error);
  return value;
}

function parameters() {
  const asked = new URLSearchParams();
  for (const [name, field] of Object.entries(fields)) {
    const value = field.value.trim();
    if (value && value !== defaults[name]) asked.set(name, value);
  }
  return asked;
}

function restore() {
  const asked = new URLSearchParams(location.search);
  for (const [name, field] of Object.entries(fields)) {
    field.value = asked.get(name) ?? defaults[name] ?? "";
    if (field.value === "" && defaults[name]) field.value = defaults[name]; // what a select does not know
  }
}

async function search(keep = false) {
  const asked = parameters();
  const address = asked.size ? `?${asked}` : "";
  if (!keep && address !== location.search) history.pushState(null, "", address || location.pathname);
  asking?.abort();
  document.title = fields.q.value.trim() ? `${fields.q.value.trim()} - code search` : "Code search";
  if (!asked.has("q")) return welcome();
  asking = new AbortController();
  answers.setAttribute("aria-busy", "true");
  try {
    show(await ask(`/api/search?${asked}`, asking.signal));
  } catch (error) {
    if (error.name === "AbortError") return;
    answers.replaceChildren();
    say(error.message, true);
  }
  answers.removeAttribute("aria-busy");
}

function show({ query, answers: found }) {
  chosen = null;
  const places = found.map(({ hits }) => hits.map((hit) => `${hit.path}:${hit.line}`));
  answers.replaceChildren(...found.map(({ hits, milliseconds }, number) => {
    const list = make("ol", {}, ...hits.map((hit, rank) => card(hit, rank, query, places[1 - number])));
    const column = make("section", { "aria-label": indexes[number]?.name ?? "answers" });
    if (found.length > 1) {
      const { name, model } = indexes[number];
      column.append(make("h2", {}, `${name} `, make("small", {}, `${model}, ${milliseconds} ms`)));
    }
    column.append(hits.length ? list : nothing());
    return column;
  }));
  const number = found[0].hits.length, note = found.map((one) => one.note).find(Boolean);
  const time = found.length > 1 ? "" : ` in ${found[0].milliseconds} ms`;
  say(`${number} ${number === 1 ? "answer" : "answers"}${time}${note ? `; ${note}` : ""}`);
}

function card(hit, rank, query, others) {
  const link = make("a", { href: hit.open, target: "_blank", rel: "noopener", title: hit.path }, hit.label);
  const score = make("span", { class: "score" }, hit.score.toFixed(3));
  const head = make("div", { class: "head" }, make("span", { class: "name" }, hit.name), score, link);
  const there = others ? others.indexOf(`${hit.path}:${hit.line}`) + 1 : 0;
  if (others) score.append(there ? ` · #${there} there` : " · here alone");
  if (hit.state) head.append(make("span", { class: "note stale" }, hit.state));
  if (hit.copies.length) head.append(make("span", { class: "note" }, `also at ${hit.copies.slice(0, 3).join(", ")}${hit.copies.length > 3 ? ` and ${hit.copies.length - 3} more` : ""}`));
  const pre = make("pre", { tabindex: "-1" }, ...hit.code.map(([kind, text]) => (kind ? make("span", { class: kind }, text) : text)));
  const item = make("li", { "data-open": hit.open }, head, pre);
  const lines = hit.code.reduce((sum, [, text]) => sum + text.split("\n").length - 1, 0);
  if (lines > SHORT) {
    const more = make("button", { type: "button", class: "more" }, `all ${lines} lines`);
    more.addEventListener("click", () => { more.textContent = pre.classList.toggle("all") ? "fewer lines" : `all ${lines} lines`; });
    item.append(more);
  }
  item.addEventListener("mousedown", () => choose(item, false));
  return item;
}

function nothing() {
  const filtered = fields.lang.value || fields.path.value.trim();
  return make("div", { class: "empty" }, make("p", {}, filtered ? "No function answers with these filters." : "No function answers: the index is empty."));
}

function welcome() {
  asking = null;
  answers.removeAttribute("aria-busy");
  say("");
  const buttons = EXAMPLES.map((text) => {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => { fields.q.value = text; search(); });
    return button;
  });
  answers.replaceChildren(make("div", { class: "empty" }, make("p", {}, "Say in words what the function does, such as"), ...buttons));
}

// Keys: / to the query, arrows along the answers and between two columns, Enter opens, Esc back to the query.

function choose(item, scroll = true) {
  chosen?.classList.remove("chosen");
  chosen = item;
  item.classList.add("chosen");
  if (!scroll) return;
  item.querySelector("a").focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const list = chosen ? [...chosen.parentElement.children] : [...answers.querySelectorAll("section:first-child li")];
  const at = chosen ? list.indexOf(chosen) + by : 0;
  if (at < 0) return fields.q.focus();
  if (list[at]) choose(list[at]);
}

function aside(by) {
  const columns = [...answers.children], own = columns.indexOf(chosen.closest("section"));
  const list = columns[own + by]?.querySelectorAll("li"), at = [...chosen.parentElement.children].indexOf(chosen);
  if (list?.length) choose(list[Math.min(at, list.length - 1)]);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const field = event.target.closest("input, select"), inQuery = field === fields.q;
  if (event.key === "/" && !field) fields.q.focus(), fields.q.select();
  else if (event.key === "Escape" && !inQuery) fields.q.focus(), fields.q.select();
  else if (event.key === "ArrowDown" && (!field || inQuery)) step(inQuery && chosen ? 0 : 1);
  else if (event.key === "ArrowUp" && !field) step(-1);
  else if (event.key === "ArrowLeft" && !field && chosen) aside(-1);
  else if (event.key === "ArrowRight" && !field && chosen) aside(1);
  else return;
  event.preventDefault();
});

byId("form").addEventListener("submit", (event) => { event.preventDefault(); search(); });
for (const field of [fields.lang, fields.path, fields.fusion, fields.top]) field.addEventListener("change", () => search());
addEventListener("popstate", () => { restore(); search(true); });

(async () => {
  try {
    ({ indexes } = await ask("/api/about"));
  } catch (error) {
    return say(error.message, true);
  }
  const languages = [...new Set(indexes.flatMap((index) => Object.keys(index.languages)))];
  for (const language of languages) fields.lang.append(make("option", { value: language }, language));
  document.body.classList.toggle("two", indexes.length > 1);
  byId("about").textContent = indexes.map((index) => `${index.name}: ${index.functions.toLocaleString("en")} functions, ${index.model}, ${index.made.slice(0, -3)}`).join(" · ");
  restore();
  search(true);
})();
