'use strict';
/**
 * The page: what /events says, drawn. Text of clients and workers is only ever set as text. Times are the browser's clock.
 *
 *     /events ─▶ show() ─▶ counts · time line (rate, marks) · lanes · policies
 *                     └──▶ decisions, until paused
 */
const KEPT_MS = 600_000;
const DECISIONS_SHOWN = 200;

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');

/** An element with text and attributes. */
function make(name, attributes = {}, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes))
		element.setAttribute(key, value);
	element.append(...children);
	return element;
}

function draw(name, attributes) {
	const element = document.createElementNS('http://www.w3.org/2000/svg', name);
	for (const [key, value] of Object.entries(attributes))
		element.setAttribute(key, value);
	return element;
}

/** How a state looks: a sign as well as a colour. */
const STATES = {
	ready: ['●', 'good'],
	starting: ['◔', 'busy'],
	draining: ['◑', 'busy'],
	finishing: ['◕', 'busy'],
	full: ['▲', 'warn'],
	stuck: ['✖', 'bad'],
	down: ['✖', 'bad'],
};

let last; // The status before.
let samples = []; // {at, rate}
let marks = []; // {at, text, bad}
let decisions = []; // The newest first.
let paused = false;
let frozen = []; // What is shown while paused.

function latency(us) {
	return us < 1000 ? `${us} µs` : us < 1e6 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1e6).toFixed(1)} s`;
}

function duration(ms) {
	const s = Math.floor(ms / 1000);
	return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 86400 ? `${Math.floor(s / 3600)} h`
		: `${Math.floor(s / 86400)} d`;
}

function showCounts(status, rate) {
	const { accepted, handed_over, refused, closed_early, waiting, sessions } = status.counts;
	const shown = {
		'new, a second': rate === undefined ? '–' : number.format(Math.round(rate * 10) / 10),
		accepted, 'handed over': handed_over, refused, 'left early': closed_early, waiting, sessions,
		'hand-over, half': latency(status.latency_us.p50), 'hand-over, 99 %': latency(status.latency_us.p99),
	};
	$('counts').replaceChildren(...Object.entries(shown).map(([name, value]) => make('div', {}, make('dt', {}, name),
		make('dd', {}, typeof value === 'number' ? number.format(value) : value))));
}

/** What has happened between two looks. */
function note(before, now, at) {
	const add = (text, bad) => marks.push({ at, text, bad });
	const grew = (name) => now.counts[name] > before.counts[name];
	if (now.processes.balancer !== before.processes.balancer)
		add('the balancer was replaced', true);
	if (grew('reloads'))
		add('policies reloaded', false);
	if (grew('failed_reloads'))
		add(`reload refused: ${now.last_refused_reload?.reason ?? ''}`, true);
	if (grew('rollbacks'))
		add('new policies failed and were taken back', true);
	if (grew('policy_errors') || grew('policy_kills'))
		add('a policy failed; limpet tail and the log say how', true);
	for (const worker of now.workers) {
		const old = before.workers.find(({ id }) => id === worker.id);
		if (old && old.pid !== worker.pid)
			add(`worker ${worker.id} was replaced`, true);
		else if (old && old.state !== worker.state)
			add(`worker ${worker.id}: ${old.state} → ${worker.state}`, STATES[worker.state]?.[1] === 'bad');
	}
	for (const old of before.workers)
		if (!now.workers.some(({ id }) => id === old.id))
			add(`worker ${old.id} has ended`, true);
}

function showTime(now) {
	const x = (at) => (600 * (1 - (now - at) / KEPT_MS)).toFixed(1);
	const most = Math.max(1, ...samples.map(({ rate }) => rate));
	const points = samples.map(({ at, rate }) => `${x(at)},${(86 - 76 * rate / most).toFixed(1)}`).join(' ');
	$('time').replaceChildren(draw('polyline', { class: 'rate', points }), ...marks.map(({ at, bad }) =>
		draw('line', { class: bad ? 'mark bad' : 'mark', x1: x(at), x2: x(at), y1: 2, y2: 88 })));
	$('time').setAttribute('aria-label', `New connections a second, at most ${number.format(Math.round(most))}`);
	$('marks').replaceChildren(...marks.slice().reverse().map(({ at, text, bad }) => make('li', {},
		make('span', { class: bad ? 'bad' : 'good' }, bad ? '✖ ' : '✔ '), `${new Date(at).toLocaleTimeString()}  ${text}`)));
	if (!marks.length)
		$('marks').replaceChildren(make('li', {}, 'No reloads and no faults.'));
}

function lane(worker, most) {
	const picture = draw('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
	picture.append(draw('rect', { x: 0, y: 0, width: 100 * worker.connections / most, height: 10 }));
	return make('div', { class: 'lane' }, picture);
}

function showWorkers(status, seconds) {
	const most = Math.max(1, ...status.workers.map(({ connections }) => connections));
	$('workers').replaceChildren(...status.workers.map((worker) => {
		const [sign, look] = STATES[worker.state] ?? ['?', 'warn'];
		const old = last?.workers.find(({ id }) => id === worker.id);
		const rate = old && seconds ? Math.max(0, worker.handed_over - old.handed_over) / seconds : 0;
		return make('li', {}, make('strong', {}, `worker ${worker.id}`),
			make('span', { class: look }, `${sign} ${worker.state}`), lane(worker, most),
			make('span', { class: 'numbers' }, `${number.format(worker.connections)} open, ${number.format(worker.sessions)} sessions`,
				make('br'), make('span', { class: 'soft' }, `${number.format(Math.round(rate * 10) / 10)} new/s, `
					+ `${worker.uptime_ms ? `up ${duration(worker.uptime_ms)}` : 'not ready yet'}`)));
	}));
	const missing = status.workers_wanted - status.workers.length;
	if (missing > 0)
		$('workers').append(make('li', {}, `${missing} of ${status.workers_wanted} workers do not run; the log says why`));
}

function showPolicies(status) {
	const refused = status.last_refused_reload;
	$('refused').hidden = !refused;
	$('refused').textContent = refused ? `✖ Reload refused at ${refused.at}: ${refused.reason}` : '';
	$('policies').replaceChildren(...status.policy_files.map(({ name, sha256, included }) => make('li', {},
		`${name}${included ? ' (included)' : ''} `, make('code', { class: 'soft' }, sha256.slice(0, 12)))));
	if (!status.policy_files.length)
		$('policies').replaceChildren(make('li', {}, 'None: each connection goes to the least busy worker.'));
}

function summarize(decision) {
	const asked = [decision.method, decision.target ?? decision.sni].filter(Boolean).join(' ') || decision.protocol;
	const to = decision.worker ? `→ worker ${decision.worker}` : '→ no worker';
	return `${decision.time.slice(11, 19)}  ${decision.client}  ${asked}  ${to}  ${decision.outcome}`
		+ `${decision.status ? ` ${decision.status}` : ''}`;
}

function explain(decision) {
	const by = decision.decided_by ? `${decision.decided_by} said ${decision.decision}` : 'no policy had an opinion';
	const session = decision.session ? `; session ${decision.session}`
		+ `${decision.session_worker ? ` of worker ${decision.session_worker}` : ', of no worker'}` : '';
	return `#${decision.number} at ${decision.listener}: ${by}, after ${decision.decided_after_ms} ms${session}`
		+ `${decision.returns ? `; returned ${decision.returns} times` : ''}; ended after ${decision.ended_after_ms} ms`;
}

function showDecisions() {
	const wanted = $('wanted').value.trim().toLowerCase();
	const open = new Set([...document.querySelectorAll('#decisions details[open]')].map(({ dataset }) => dataset.number));
	const focused = document.activeElement?.parentElement?.dataset?.number;
	const shown = (paused ? frozen : decisions).filter((decision) => !wanted
		|| `${summarize(decision)} ${explain(decision)}`.toLowerCase().includes(wanted));
	$('decisions').replaceChildren(...shown.map((decision) => {
		const good = decision.outcome === 'arrived';
		const item = make('details', { 'data-number': decision.number }, make('summary', {},
			make('span', { class: good ? 'good' : 'warn' }, good ? '● ' : '▲ '), summarize(decision)),
		make('p', {}, explain(decision)));
		item.open = open.has(String(decision.number));
		return make('li', {}, item);
	}));
	if (!shown.length)
		$('decisions').replaceChildren(make('li', { class: 'soft' }, wanted ? 'None of the last ones.' : 'None yet.'));
	if (focused)
		document.querySelector(`#decisions details[data-number="${focused}"] summary`)?.focus();
}

function show({ status, news }) {
	const at = Date.now();
	const seconds = last ? (at - last.at) / 1000 : 0;
	const rate = last ? Math.max(0, status.counts.accepted - last.counts.accepted) / seconds : undefined;
	if (last)
		note(last, status, at);
	if (rate !== undefined)
		samples.push({ at, rate });
	samples = samples.filter((sample) => at - sample.at < KEPT_MS);
	marks = marks.filter((mark) => at - mark.at < KEPT_MS);
	$('name').textContent = status.name;
	document.title = `limpet ${status.name}: ${status.state}`;
	$('link').textContent = `${status.state} · pid ${status.pid} · since ${status.started} · ${status.listeners
		.map(({ address }) => address).join(', ')}`;
	showCounts(status, rate);
	showTime(at);
	showWorkers(status, seconds);
	showPolicies(status);
	decisions = [...news.decisions.reverse(), ...decisions].slice(0, DECISIONS_SHOWN);
	if (!paused && (news.decisions.length || !last))
		showDecisions();
	last = { ...status, at };
}

$('filter').addEventListener('submit', (event) => event.preventDefault());
$('wanted').addEventListener('input', showDecisions);
$('pause').addEventListener('click', () => {
	paused = !paused;
	frozen = decisions;
	$('pause').setAttribute('aria-pressed', paused);
	$('pause').textContent = paused ? 'Go on' : 'Pause';
	showDecisions();
});

const events = new EventSource('events');
events.onmessage = ({ data }) => show(JSON.parse(data));
events.onerror = () => {
	$('link').textContent = events.readyState === EventSource.CLOSED ? 'limpet refuses a further page; close another one'
		: 'limpet does not answer; trying again …';
	if (events.readyState === EventSource.CLOSED)
		setTimeout(() => location.reload(), 5000);
};
