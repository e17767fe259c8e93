/*
 * The status page: asks the sidecar once a second what is new, and draws it. No library, nothing stored.
 * Everything that comes from the node is set as text, never as HTML.
 */
'use strict';

const EVERY_MS = 1000;
const RATE_SECONDS = 6;
const KEPT_POINTS = 120;
const KEPT_EVENTS = 60;
const WARM_PROMISE_MS = 300;
const COLD_PROMISE_MS = 3000;

const lines = {hit: [], rate: [], warm: [], cold: []};
const events = [];
let seen = 0;
let readings = [];

const by = (id) => document.getElementById(id);

function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
}

const count = (value) => value.toLocaleString('en');

function bytes(value) {
    if (value >= 1e9) return (value / 1e9).toFixed(2) + ' GB';
    if (value >= 1e6) return (value / 1e6).toFixed(value < 1e7 ? 1 : 0) + ' MB';
    return Math.round(value / 1e3) + ' kB';
}

function milliseconds(seconds) {
    if (seconds === null) return '–';
    if (seconds < 0.001) return '< 1 ms';
    return seconds < 1 ? Math.round(seconds * 1000) + ' ms' : seconds.toFixed(2) + ' s';
}

function ago(now, then) {
    if (!then) return 'never';
    const seconds = Math.max(0, Math.round(now - then));
    if (seconds < 2) return 'now';
    if (seconds < 120) return seconds + ' s ago';
    if (seconds < 7200) return Math.round(seconds / 60) + ' min ago';
    return Math.round(seconds / 3600) + ' h ago';
}

function draw(id, points, value, low, high) {
    points.push(value);
    if (points.length > KEPT_POINTS) points.shift();
    const svg = by(id);
    const width = 120, height = 30;
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.replaceChildren();
    const top = high === undefined ? Math.max(...points.map((point) => point || 0)) * 1.1 || 1 : high;
    const place = (point, index) => {
        const x = width - (points.length - 1 - index) * width / (KEPT_POINTS - 1);
        return `${x.toFixed(1)} ${(height - (point - low) / (top - low) * height).toFixed(1)}`;
    };
    const known = points.map((point, index) => (point === null ? null : place(point, index))).filter(Boolean);
    if (known.length < 2) return;
    for (const [shape, name] of [[`M${known.join('L')}`, ''],
        [`M${known[0].split(' ')[0]} ${height}L${known.join('L')}L${known.at(-1).split(' ')[0]} ${height}Z`, 'area']]) {
        const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
        path.setAttribute('d', shape);
        if (name) path.setAttribute('class', name);
        svg.append(path);
    }
}

function judge(id, text, state) {
    const value = by(id);
    value.textContent = text;
    value.className = 'value ' + state;
}

function figures(node) {
    const ratio = node.recent.hit_ratio;
    judge('hit-ratio', ratio === null ? '–' : (100 * ratio).toFixed(1) + ' %', ratio !== null && ratio < 0.75 ? 'warn' : '');
    by('hit-note').textContent = `${count(node.hits)} warm, ${count(node.misses)} cold since the start`;
    draw('hit-line', lines.hit, ratio, 0, 1);

    // Calls are counted in batches, so the rate is that of some seconds.
    readings = readings.filter((reading) => node.now - reading.now < RATE_SECONDS && reading.answered <= node.answered);
    const rate = readings.length ? (node.answered - readings[0].answered) / (node.now - readings[0].now) : null;
    readings.push({now: node.now, answered: node.answered});
    judge('rate', rate === null ? '–' : count(Math.round(rate)), '');
    by('rate-note').textContent = `${count(node.failed)} not answered well`;
    draw('rate-line', lines.rate, rate, 0);

    for (const [name, quantiles, promise] of [['warm', node.recent.warm, WARM_PROMISE_MS], ['cold', node.recent.cold, COLD_PROMISE_MS]]) {
        const [p50, p95, p99] = quantiles;
        judge(name, milliseconds(p95), p95 !== null && p95 * 1000 > promise ? 'bad' : '');
        by(name + '-note').textContent = p50 === null ? 'none in the last minutes' : `p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}`;
        draw(name + '-line', lines[name], p95, 0);
    }
}

function memory(node) {
    by('memory-text').textContent = `${bytes(node.held_bytes)} of ${bytes(node.budget_bytes)}`;
    const blocks = node.residents.map((slot) => {
        const idle = slot.last_used ? Math.max(0, node.now - slot.last_used) : 3600;
        const block = element('div', slot.state !== 'resident' ? 'moving' : slot.pinned ? 'pinned' : '', slot.tenant);
        block.style.flex = `${slot.bytes} 1 ${Math.sqrt(slot.bytes / node.budget_bytes) * 30}%`;
        block.style.opacity = Math.max(0.3, 1 - Math.log10(1 + idle) / 4).toFixed(2);
        block.title = `${slot.tenant}: ${bytes(slot.bytes)}, last call ${ago(node.now, slot.last_used)}`;
        return block;
    });
    const free = node.budget_bytes - node.held_bytes;
    if (free > 0.01 * node.budget_bytes) {
        const block = element('div', 'free');
        block.style.flex = `${free} 1 ${Math.sqrt(free / node.budget_bytes) * 30}%`;
        block.title = `${bytes(free)} free`;
        blocks.push(block);
    }
    by('map').replaceChildren(...blocks);
    for (const block of blocks) if (block.offsetWidth < 72) block.textContent = '';
    const more = node.models - node.residents.length;
    by('map-note').textContent = 'Area is size; the paler, the longer not called; blue is pinned, amber on its way in or out.' + (more > 0 ? ` ${count(more)} more are not drawn.` : '');
    by('disk-bar').style.width = Math.min(100, 100 * node.disk_bytes / node.disk_budget_bytes) + '%';
    by('disk-text').textContent = `${bytes(node.disk_bytes)} of ${bytes(node.disk_budget_bytes)}, ${count(node.disk_entries)} tenants`;
}

function happened(node) {
    events.unshift(...node.events.reverse());
    events.length = Math.min(events.length, KEPT_EVENTS);
    by('events-text').textContent = `${count(node.loads)} loads, ${count(node.evictions)} evictions`;
    const items = events.map((event) => {
        const item = element('li');
        const time = element('time', '', new Date(event.at * 1000).toTimeString().slice(0, 8));
        const kind = event.kind === 'departed' ? event.cause : event.kind.replace('_', ' ');
        const what = element('span', 'what', event.tenant + (event.kind === 'loaded' ? ` (${event.cause})` : ''));
        what.title = event.text;
        item.append(time, element('span', 'kind ' + event.kind, kind), what, element('span', 'took', event.seconds === undefined ? '' : milliseconds(event.seconds)));
        return item;
    });
    by('events').replaceChildren(...(items.length ? items : [element('li', 'empty', 'Nothing yet: the first call of a tenant loads it.')]));
}

function row(cells) {
    const made = element('tr');
    made.append(...cells);
    return made;
}

function named(tenant, pinned) {
    const cell = element('td', pinned ? 'pinned' : '', tenant);
    cell.title = tenant;
    if (pinned) cell.append(element('span', 'mark', 'pinned'));
    return cell;
}

function tables(node) {
    by('residents-text').textContent = `${count(node.models)} models`;
    by('residents').tBodies[0].replaceChildren(...node.residents.slice(0, 50).map((slot) => row([
        named(slot.tenant, slot.pinned),
        element('td', 'number', bytes(slot.bytes)),
        element('td', 'number', count(slot.uses)),
        element('td', 'number', ago(node.now, slot.last_used)),
        element('td', 'wide', slot.state),
    ])));
    by('top').tBodies[0].replaceChildren(...node.top.map((each) => row([
        named(each.tenant, each.pinned),
        element('td', 'number', count(each.calls)),
        ...each.quantiles.map((quantile) => element('td', 'number', milliseconds(quantile))),
    ])));
}

function health(text, state) {
    by('health').className = state;
    by('health-text').textContent = text;
}

function show(node) {
    const troubles = [];
    if (!node.triton_up) troubles.push('Triton does not answer');
    if (!node.store_up) troubles.push('the store does not answer');
    if (node.quarantined) troubles.push(`${count(node.quarantined)} tenants in quarantine`);
    health(troubles.join(', ') || 'all parts answer', troubles.length ? 'bad' : 'good');
    by('version').textContent = `version ${node.version}`;
    document.title = `Orchard: ${count(node.models)} in memory`;
    figures(node);
    memory(node);
    happened(node);
    tables(node);
    seen = node.seen;
}

async function ask() {
    try {
        const answer = await fetch(`page/data?since=${seen}`, {cache: 'no-store'});
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        show(await answer.json());
    } catch (error) {
        health(`the node does not answer (${error.message}); asking again`, 'bad');
    }
    setTimeout(ask, EVERY_MS);
}

ask();
