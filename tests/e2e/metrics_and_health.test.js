'use strict';
/**
 * The admin listener: metrics that Prometheus takes and that add up, health for whoever asks, and no harm from anybody.
 */
const assert = require('node:assert/strict');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const clients = require('./clients');
const { eventually, run, runToItsEnd } = require('./harness');

const WORKERS = '--workers 2 --policy sid --dialect cluster -- node workers/answer.js';
const COMMAND = `--admin 127.0.0.1:0 ${WORKERS}`;
const MONITORING = path.join(__dirname, '../../core/package/monitoring');

/** Where the admin listener is. */
async function adminOf(limpet) {
	const [, address] = await limpet.said(/metrics and status are at (?:http:\/\/)?(\S+)\/metrics/);
	return address.replace(/^unix:(?!\/)/, `unix:${limpet.folder}/`);
}

async function ask(limpet, target, options) {
	return clients.request(await adminOf(limpet), target, options);
}

/** Metrics as {name: {labels: value}}. */
async function scrape(limpet) {
	const { status, text } = await ask(limpet, '/metrics');
	assert.equal(status, 200);
	const families = {};
	for (const [, name, labels, value] of text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm))
		(families[name] ??= {})[labels ?? ''] = Number(value);
	return families;
}

const sum = (family) => Object.values(family).reduce((all, value) => all + value, 0);

/** The equation that ships as an alert. */
function assertAccounted(metrics) {
	assert.equal(sum(metrics.limpet_connections_accepted_total),
		sum(metrics.limpet_connections_handed_over_total) + sum(metrics.limpet_connections_refused_total)
		+ sum(metrics.limpet_connections_closed_early_total) + sum(metrics.limpet_connections_waiting));
}

test('promtool finds nothing wrong with the metrics, and they have what an operator asks for', run(
	COMMAND, async (limpet) => {
		await limpet.get('/');
		const { text, headers } = await ask(limpet, '/metrics');
		assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
		const told = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
		assert.equal(told.error, undefined);
		assert.deepEqual([told.status, told.stdout, told.stderr], [0, '', '']);
		for (const name of ['limpet_handover_duration_seconds_bucket', 'limpet_worker_up', 'limpet_worker_connections',
			'limpet_worker_sessions', 'limpet_worker_restarts_total', 'limpet_sessions', 'limpet_policy_calls_total',
			'limpet_policy_duration_seconds_count', 'limpet_reloads_total', 'limpet_config_last_reload_successful',
			'limpet_build_info', 'process_cpu_seconds_total', 'process_open_fds', 'process_start_time_seconds'])
			assert.match(text, new RegExp(`^${name}(\\{| )`, 'm'));
		assert.doesNotMatch(text, new RegExp(`\\b${(await limpet.worker(1)).pid}\\b`), 'no pid is a label');
	}));

test('the counts add up at every scrape, under load, refusals and deaths', run(
	`--head-timeout 300ms ${COMMAND}`, async (limpet) => {
		const load = limpet.startLoad(8);
		const silent = await limpet.connect();
		silent.write('GET / HT');
		for (let i = 0; i < 30; i++) {
			assertAccounted(await scrape(limpet));
			if (i === 10)
				process.kill((await limpet.worker(1)).pid, 'SIGKILL');
		}
		await load.stop();
		await eventually('the silent one was refused', async () =>
			(await scrape(limpet)).limpet_connections_refused_total['reason="head_timeout"'] >= 1);
		await eventually('the worker is back', async () => {
			const metrics = await scrape(limpet);
			return sum(metrics.limpet_worker_up) === 2 && metrics.limpet_worker_restarts_total['worker="1"'] === 1;
		});
		const metrics = await scrape(limpet);
		assertAccounted(metrics);
		const { counts } = await limpet.status();
		assert.equal(sum(metrics.limpet_connections_refused_total), counts.refused);
	}));

test('health is that it answers; readiness that a worker takes clients', run(
	'--admin 127.0.0.1:0 --workers 1 --wait-ready --dialect cluster -- node workers/pm2_program.js',
	{ files: { database: '' } }, // Without which no worker says that it is ready.
	async (limpet) => {
		assert.deepEqual([(await ask(limpet, '/healthz')).status, (await ask(limpet, '/readyz')).status], [200, 200]);
		const since = limpet.now;
		limpet.remove('database');
		process.kill((await limpet.worker(1)).pid, 'SIGKILL');
		await eventually('it is not ready', async () => (await ask(limpet, '/readyz')).status === 503);
		assert.equal((await ask(limpet, '/healthz')).status, 200);
		limpet.write('database', '');
		await limpet.said(/worker 1 is ready/, since);
		await eventually('it is ready again', async () => (await ask(limpet, '/readyz')).status === 200);
	}));

test('a balancer that drains is not ready, and still tells its metrics', run(
	`--drain-timeout 1h ${COMMAND}`, async (limpet) => {
		const open = await limpet.connect();
		open.write('GET /?wait=never HTTP/1.1\r\nHost: a\r\n\r\n');
		await eventually('a worker has it', async () => (await limpet.counts()).acknowledged === 1);
		limpet.signal('SIGTERM');
		await eventually('it is not ready', async () => (await ask(limpet, '/readyz')).status === 503);
		assert.equal((await ask(limpet, '/readyz')).text, 'stopping\n');
		assertAccounted(await scrape(limpet));
		open.destroy();
	}));

test('/status.json is the status', run(COMMAND, async (limpet) => {
	const { json, headers } = await ask(limpet, '/status.json');
	assert.equal(json.pid, limpet.pid);
	assert.equal(headers['content-type'], 'application/json');
	assert.equal(headers['access-control-allow-origin'], undefined);
}));

test('only hosts that stand for it are answered, and only GET and HEAD', run(
	`--admin-host metrics.example ${COMMAND}`, async (limpet) => {
		const statusFor = async (host) => (await ask(limpet, '/healthz', { headers: { host } })).status;
		for (const host of ['127.0.0.1', '127.0.0.1:9090', 'localhost:1', 'LocalHost', '[::1]:80', 'metrics.example:80'])
			assert.equal(await statusFor(host), 200, host);
		for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', '192.0.2.1', '::1x'])
			assert.equal(await statusFor(host), 403, host);
		const address = await adminOf(limpet);
		const twice = await clients.exchange(address, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n');
		assert.match(twice.text, /^HTTP\/1\.1 403 /);
		const empty = await clients.exchange(address, 'GET /healthz HTTP/1.1\r\nHost:\r\n\r\n');
		assert.match(empty.text, /^HTTP\/1\.1 403 /);
		assert.match((await clients.exchange(address, 'GET /healthz HTTP/1.0\r\n\r\n')).text, /^HTTP\/1\.1 200 /);
		for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
			assert.equal((await ask(limpet, '/metrics', { method })).status, 405);
		assert.equal((await ask(limpet, '/nowhere')).status, 404);
		const head = await clients.exchange(address, 'HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
		assert.match(head.text, /\r\nContent-Length: \d{4,}\r\n/);
		assert.ok(head.text.endsWith('\r\n\r\n'), 'no body');
	}));

test('a connection is kept, as scrapers like it, and what is sent ahead is answered in order', run(
	COMMAND, async (limpet) => {
		const address = await adminOf(limpet);
		const request = (target, more = '') => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
		const { text } = await clients.exchange(address,
			request('/healthz') + request('/readyz') + request('/nowhere') + request('/healthz'));
		assert.deepEqual([...text.matchAll(/^HTTP\/1\.1 (\d+) /gm)].map(([, status]) => status), ['200', '200', '404'], 'the first that is refused is the last');
		assert.match((await clients.exchange(address, request('/healthz', 'Content-Length: 3\r\n') + 'abc')).text,
			/\r\nConnection: close\r\n/);
		/* Idle ones make room for new ones. */
		for (let i = 0; i < 80; i++) {
			const socket = await limpet.connect(address);
			socket.write(request('/healthz'));
			assert.match((await once(socket, 'data'))[0].toString(), /^HTTP\/1\.1 200 /, `client ${i}`);
		}
	}));

test('it listens at a unix path that only its owner reaches, or at loopback, unless a host is named', run(
	`--admin unix:./admin ${WORKERS}`, async (limpet) => {
		assert.equal((await ask(limpet, '/healthz', { headers: { host: 'anything' } })).status, 200);
		assert.equal((fs.statSync(`${limpet.folder}/admin`).mode & 0o777).toString(8), '600');
		for (const address of [':0', '0.0.0.0:0', '192.0.2.1:9090', '[::]:0']) {
			const { status, log } = await runToItsEnd(`run --listen 127.0.0.1:0 --admin ${address} ${WORKERS}`);
			assert.equal(status, 2);
			assert.match(log, /can be reached from other machines.*--admin-host/);
		}
		await limpet.stop();
		assert.equal(fs.existsSync(`${limpet.folder}/admin`), false);
	}));

test('a host that is named may be asked from elsewhere', run(
	`--admin 0.0.0.0:0 --admin-host balancer.example ${WORKERS}`, async (limpet) => {
		const port = (await adminOf(limpet)).split(':').at(-1);
		const { status } = await clients.request(`127.0.0.1:${port}`, '/healthz', { headers: { host: 'balancer.example' } });
		assert.equal(status, 200);
	}));

test('clients that say too much, nothing, nonsense, or do not read are bounded', run(COMMAND, async (limpet) => {
	const address = await adminOf(limpet);
	assert.match((await clients.exchange(address, `GET /${'a'.repeat(5000)} HTTP/1.1\r\n`)).text, /^HTTP\/1\.1 431 |^$/);
	assert.match((await clients.exchange(address, '\x16\x03\x01\x02\0')).text, /^HTTP\/1\.1 400 /);
	assert.match((await clients.exchange(address, 'GET / HTTP/2.0\r\n\r\n')).text, /^HTTP\/1\.1 400 /);
	assert.match((await clients.exchange(address,
		'GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n')).text,
		/^HTTP\/1\.1 400 /);
	const silent = await Promise.all(Array.from({ length: 40 }, () => limpet.connect(address)));
	const closed = silent.map((socket) => clients.receiveAll(socket));
	assert.equal((await limpet.get('/')).status, 200, 'others are served meanwhile');
	await Promise.all(closed); // Those past the 32 at once, the others after 5 s.
	assert.equal((await ask(limpet, '/healthz')).status, 200);
}));

test('the alert rules are tested, and the dashboard is JSON that asks only for metrics that there are', run(
	COMMAND, async (limpet) => {
		execFileSync('promtool', ['test', 'rules', 'limpet.rules.test.yml'], { cwd: MONITORING, stdio: 'pipe' });
		const { text } = await ask(limpet, '/metrics');
		const known = new Set([...text.matchAll(/^(\w+)/gm)].map(([, name]) => name));
		const files = ['limpet.rules.yml', 'limpet.dashboard.json'];
		for (const file of files) {
			const whole = fs.readFileSync(path.join(MONITORING, file), 'utf8');
			if (file.endsWith('.json'))
				assert.equal(JSON.parse(whole).title, 'limpet');
			for (const [name] of whole.matchAll(/\b(limpet_[a-z_]+|process_[a-z_]+)\b/g))
				assert.ok(known.has(name), `${file}: ${name}`);
		}
	}));

test('a Prometheus scrapes it', { skip: spawnSync('prometheus', ['--version']).error ? 'prometheus is not installed' : false },
	run(COMMAND, async (limpet) => {
		const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-prometheus-'));
		await limpet.get('/');
		fs.writeFileSync(`${folder}/prometheus.yml`, `
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 1s}
rule_files: [${MONITORING}/limpet.rules.yml]
scrape_configs:
  - job_name: limpet
    static_configs: [{targets: ['${await adminOf(limpet)}']}]
`);
		const prometheus = spawn('prometheus', [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`,
			'--web.listen-address=127.0.0.1:0'], { stdio: ['ignore', 'ignore', 'pipe'] });
		try {
			let log = '';
			prometheus.stderr.setEncoding('utf8').on('data', (text) => { log += text; });
			let address;
			await eventually('it listens', () => { address = /Listening on.*address=(127\.0\.0\.1:\d+)/.exec(log)?.[1]; return address; });
			const query = async (expression) => (await clients.request(address,
				`/api/v1/query?query=${encodeURIComponent(expression)}`)).json?.data?.result ?? [];
			await eventually('it has scraped', async () => (await query('limpet_connections_accepted_total'))[0]?.value[1] === '1');
			assert.equal((await query('sum(limpet_worker_up)'))[0].value[1], '2');
			assert.deepEqual(await query('ALERTS'), []);
		} finally {
			const ended = once(prometheus, 'exit');
			prometheus.kill();
			await ended;
			fs.rmSync(folder, { recursive: true, force: true });
		}
	}));
