'use strict';
// Streams answers into columns, up to three beside each other. Text is only ever set as text.
const form = document.querySelector('[data-playground]');
const answers = document.querySelector('[data-answers]');
if (form && answers) {
  const model = form.querySelector('#model');
  const stop = form.querySelector('[data-stop]');
  const compare = form.querySelector('[data-compare]');
  const others = [];
  let running = null;
  const make = (name, text, parent, kind) => {
    const node = document.createElement(name);
    if (kind) node.className = kind;
    node.textContent = text;
    parent.append(node);
    return node;
  };
  compare.hidden = false;
  compare.addEventListener('click', () => {
    const field = make('div', '', form, 'field');
    const label = make('label', 'Compare with', field);
    const select = model.cloneNode(true);
    select.id = 'compare-' + others.length;
    select.removeAttribute('name');
    label.htmlFor = select.id;
    field.append(select);
    form.insertBefore(field, form.querySelector('.buttons'));
    others.push(select);
    if (others.length === 2) compare.hidden = true;
    select.focus();
  });
  stop.addEventListener('click', () => { if (running) running.abort(); });
  const body = (name) => {
    const value = (id) => form.querySelector('#' + id).value.trim();
    const messages = [];
    if (value('system')) messages.push({ role: 'system', content: value('system') });
    messages.push({ role: 'user', content: value('message') });
    const said = { model: name, messages, stream: true, stream_options: { include_usage: true } };
    if (value('max_tokens')) said.max_tokens = Number(value('max_tokens'));
    if (value('temperature')) said.temperature = Number(value('temperature'));
    return said;
  };
  const headers = () => {
    const all = { 'content-type': 'application/json', 'x-csrf': form.dataset.token };
    const cost = form.querySelector('#max_cost').value.trim();
    if (cost) all['x-optimux-max-cost-usd'] = cost;
    all['x-optimux-quality'] = form.querySelector('#quality').value;
    return all;
  };
  const costs = async (id, line) => {
    for (let tries = 0; tries < 6; tries += 1) {
      const told = await fetch('/console/playground/requests/' + id).catch(() => null);
      if (told && told.ok) {
        const all = await told.json();
        make('span', ', $' + ((all.cost_nano_usd ?? all.list_nano_usd) / 1e9).toFixed(9).replace(/0{1,7}$/, '') + ', ' + all.usage.total_tokens + ' tokens', line);
        return;
      }
      await new Promise((done) => setTimeout(done, 700));
    }
  };
  const ask = async (name) => {
    const card = make('section', '', answers, 'card');
    const title = make('h2', name, card);
    const text = make('p', '', card, 'answer busy');
    const line = make('p', '', card, 'dim small');
    const began = performance.now();
    let first = 0;
    const fail = (why) => {
      text.classList.remove('busy');
      make('p', why, card, 'bad');
      const again = make('button', 'Try again', card);
      again.type = 'button';
      again.addEventListener('click', () => { card.remove(); ask(name); });
    };
    const event = (kind, data) => {
      if (data === '[DONE]') return;
      const said = JSON.parse(data);
      if (kind === 'optimux') {
        title.textContent = said.model + ' at ' + said.provider;
        line.textContent = 'first after ' + Math.round(first) + ' ms, all after ' + Math.round(performance.now() - began) + ' ms';
        if (said.decision) line.title = said.decision;
        const link = make('a', 'details', make('p', '', card, 'small'));
        link.href = '/console/requests/' + encodeURIComponent(said.id);
        costs(said.id, line);
      } else if (said.error) {
        fail(said.error.message);
      } else {
        const piece = said.choices && said.choices[0] && said.choices[0].delta && said.choices[0].delta.content;
        if (piece) {
          if (!first) first = performance.now() - began;
          text.append(document.createTextNode(piece));
        }
      }
    };
    try {
      const answer = await fetch('/console/playground/run', { method: 'POST', headers: headers(), body: JSON.stringify(body(name)), signal: running.signal });
      if (!answer.ok) {
        const said = await answer.json().catch(() => null);
        fail(said && said.error ? said.error.message : 'The gateway answered ' + answer.status + '.');
        return;
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let left = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        left += value.replace(/\r/g, '');
        const events = left.split('\n\n');
        left = events.pop();
        for (const one of events) {
          let kind = '';
          const data = [];
          for (const row of one.split('\n')) {
            if (row.startsWith('event:')) kind = row.slice(6).trim();
            if (row.startsWith('data:')) data.push(row.slice(5).trim());
          }
          if (data.length) event(kind, data.join('\n'));
        }
      }
    } catch (why) {
      if (why.name === 'AbortError') make('p', 'Stopped. What was produced is charged.', card, 'dim small');
      else fail('The connection broke off.');
    }
    text.classList.remove('busy');
  };
  form.addEventListener('submit', async (sent) => {
    if (sent.submitter && sent.submitter.value === 'route') return;
    sent.preventDefault();
    answers.replaceChildren();
    running = new AbortController();
    stop.hidden = false;
    await Promise.all([model, ...others].map((select) => ask(select.value)));
    stop.hidden = true;
  });
}
