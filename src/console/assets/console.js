'use strict';
// Adds what a page does without: copying, local time, the focus on what is wrong, and looking for the
// first request. Nothing here writes markup.
for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(button.dataset.copy));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = 'Press Ctrl+C';
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
}
for (const time of document.querySelectorAll('time[datetime]')) {
  time.title = new Date(time.dateTime).toLocaleString();
}
const wrong = document.querySelector('[data-focus]');
if (wrong) wrong.focus();
const waiting = document.querySelector('[data-first]');
if (waiting) {
  const look = async () => {
    const answer = await fetch('/console/first', { credentials: 'same-origin' }).catch(() => null);
    if (answer && answer.status === 200) location.reload();
    else setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
}
const run = document.querySelector('[data-run]');
if (run) {
  run.hidden = false;
  const ran = document.querySelector('[data-ran]');
  run.addEventListener('click', async () => {
    run.disabled = true;
    ran.hidden = false;
    ran.textContent = 'Asking.';
    const began = performance.now();
    const said = { model: 'auto', messages: [{ role: 'user', content: 'Hello' }] };
    const answer = await fetch('/console/playground/run', { method: 'POST', headers: { 'content-type': 'application/json', 'x-csrf': run.dataset.token }, body: JSON.stringify(said) }).catch(() => null);
    const told = answer ? await answer.json().catch(() => null) : null;
    const took = Math.round(performance.now() - began) + ' ms';
    if (told && told.choices) ran.textContent = told.optimux.model + ', ' + took + ': ' + told.choices[0].message.content;
    else ran.textContent = told && told.error ? told.error.message : 'The gateway does not answer.';
    run.disabled = false;
  });
}
