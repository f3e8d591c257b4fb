// Sends what is asked and puts the answer, made and escaped by the server, in its place.
"use strict";

const form = document.getElementById("look");
const results = document.getElementById("results");
const drop = document.getElementById("drop");
const photo = document.getElementById("photo");
const words = document.getElementById("words");
const askForm = document.getElementById("ask");
const maxUpload = Number(form.dataset.maxUpload);

// What was asked last: {photo}, {words} or {like}; null at the beginning.
let query = null;

function announcer(statusId, troubleId) {
  const status = document.getElementById(statusId);
  const trouble = document.getElementById(troubleId);
  return {
    busy(text) { this.say(text); status.classList.add("busy"); },
    say(text) { status.textContent = text; status.classList.remove("busy"); trouble.hidden = true; },
    fail(text) {
      this.say("");
      trouble.textContent = text;
      trouble.hidden = false;
    },
  };
}

const looking = announcer("status", "trouble");
const asking = askForm && announcer("ask-status", "ask-trouble");

// Fetches a part of the page; a later call by the same fetcher cancels the one before.
function fetcher() {
  let under_way = null;
  return async (path, parameters, body) => {
    if (under_way) under_way.abort();
    const mine = under_way = new AbortController();
    const options = { signal: mine.signal };
    if (body) {
      options.method = "POST";
      options.body = body;
      options.headers = {
        "Content-Type": body.type.startsWith("image/") ? body.type : "application/octet-stream",
      };
    }
    let answer;
    try {
      answer = await fetch(`${path}?${parameters}`, options);
    } catch (error) {
      if (mine.signal.aborted) return null;
      throw new Error("tagmine explore does not answer. Is it still running in its terminal?");
    }
    const text = await answer.text();
    if (mine.signal.aborted) return null;
    if (!answer.ok) throw new Error(text);
    return text;
  };
}

const fetchResults = fetcher();
const fetchAnswers = fetcher();

function settings() {
  const parameters = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (name === "k" || name === "store" || name === "arrange") parameters.append(name, value);
  }
  return parameters;
}

async function lookUp() {
  if (query === null) return;
  const problem = settingsProblem();
  if (problem) return looking.fail(problem);
  const parameters = settings();
  if (query.words) parameters.set("words", query.words);
  if (query.like) parameters.set("like", query.like);
  // A photo is nowhere but in this tab, so its address would show nothing.
  history.replaceState(null, "", query.photo ? "/" : `/?${parameters}`);
  looking.busy("Looking it up …");
  results.setAttribute("aria-busy", "true");
  try {
    const answer = await fetchResults("/look", parameters, query.photo);
    if (answer === null) return;
    results.innerHTML = answer;
    markWhatIsGone();
    looking.say(summary());
  } catch (error) {
    results.replaceChildren();
    looking.fail(error.message);
  }
  results.setAttribute("aria-busy", "false");
}

function settingsProblem() {
  const k = document.getElementById("k");
  if (!k.validity.valid) return `Neighbours: give a number from ${k.min} to ${k.max}.`;
  const boxes = [...form.querySelectorAll("[name=store]")];
  return boxes.length && !boxes.some((box) => box.checked) ? "Choose a datastore." : "";
}

function summary() {
  const subject = query.photo ? query.photo.name || "the photo" : query.words || "the image";
  const columns = results.querySelectorAll(".column").length;
  const images = results.querySelectorAll(".near > li").length;
  const tags = results.querySelectorAll(".pooled > li").length;
  const where = columns > 1 ? ` in ${columns} columns` : "";
  return `${images} images and ${tags} tags found for ${subject}${where}.`;
}

function usePhoto(file) {
  if (!file) return;
  if (file.size > maxUpload) {
    const most = Math.floor(maxUpload / 1048576);
    return looking.fail(`${file.name} has ${Math.ceil(file.size / 1048576)} MiB; at most ${most} MiB can be looked up.`);
  }
  query = { photo: file };
  words.value = "";
  preview(file);
  lookUp();
}

let previewed = "";
function preview(file) {
  const figure = document.getElementById("preview");
  if (previewed) URL.revokeObjectURL(previewed);
  previewed = file ? URL.createObjectURL(file) : "";
  figure.hidden = !file;
  drop.classList.toggle("full", Boolean(file));
  drop.querySelector(".drop-title").textContent =
    file ? "Drop or choose another photo" : "Drop a photo, or choose one";
  if (file) {
    const image = document.getElementById("preview-image");
    image.src = previewed;
    image.alt = "the photo that was looked up";
    document.getElementById("preview-name").textContent = file.name;
  }
  if (askForm) {
    askForm.querySelector("button").disabled = !file;
    document.getElementById("ask-hint").hidden = Boolean(file);
    document.getElementById("answers").replaceChildren();
    asking.say("");
  }
}

photo.addEventListener("change", () => {
  usePhoto(photo.files[0]);
  // So that choosing the same file again looks it up again.
  photo.value = "";
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const said = words.value.trim();
  if (!said) return looking.fail("Write a few words, or drop a photo.");
  query = { words: said };
  preview(null);
  lookUp();
});

form.addEventListener("change", (event) => {
  if (event.target.name === "k" || event.target.name === "store" || event.target.name === "arrange") {
    lookUp();
  }
});

for (const kind of ["dragover", "dragleave", "drop"]) {
  // Anywhere on the page: a photo dropped beside the box would otherwise replace the page.
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop") usePhoto(event.dataTransfer.files[0]);
  });
}

document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((given) => given.type.startsWith("image/"));
  if (file) usePhoto(file);
});

// A tag lights up the images that it comes from, under the pointer and under the focus alike; the
// ranks beside it say the same without.
function light(event) {
  const row = event.target.closest?.(".pooled li");
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  for (const list of document.querySelectorAll(".choosing")) list.classList.remove("choosing");
  if (!row) return;
  const ranks = row.dataset.from.split(" ");
  const near = row.closest(".column").querySelector(".near");
  row.classList.add("lit");
  near.classList.add("choosing");
  for (const item of near.children) item.classList.toggle("lit", ranks.includes(item.dataset.rank));
}
for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, light);

// A picture that cannot be had leaves words in its place.
function markGone(image) {
  const words = document.createElement("span");
  words.className = "gone";
  words.textContent = "no picture";
  image.replaceWith(words);
}
function markWhatIsGone() {
  for (const image of document.querySelectorAll("#results img")) {
    image.addEventListener("error", () => markGone(image), { once: true });
    if (image.complete && image.naturalWidth === 0 && image.loading !== "lazy") markGone(image);
  }
}

if (askForm) {
  askForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    const parameters = settings();
    parameters.set("question", document.getElementById("asked").value);
    asking.busy("The model is answering …");
    try {
      const answer = await fetchAnswers("/ask", parameters, query.photo);
      if (answer === null) return;
      document.getElementById("answers").innerHTML = answer;
      asking.say("");
    } catch (error) {
      asking.fail(error.message);
    }
  });
}

markWhatIsGone();
if (words.value) query = { words: words.value };
if (form.dataset.like) query = { like: form.dataset.like };
lookUp();
