'use strict';
/**
 * --config FILE: the flags' names, one per line. Mistakes name file and line, wherever they are found.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { run, runToItsEnd } = require('./harness');

const ANSWER = path.join(__dirname, 'workers/answer.js');

/** A body that gets a function that writes a file into a fresh folder. */
function withFiles(body) {
	return async (t) => {
		const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'limpet-config-'));
		t.after(() => fs.rmSync(folder, { recursive: true }));
		await body((name, text) => {
			const file = path.join(folder, name);
			fs.writeFileSync(file, text);
			return file;
		}, folder, t);
	};
}

test('a file says all; the command line has the last word', withFiles(async (write, folder, t) => {
	const file = write('web.conf', `# Two workers.
workers = 2
policy round_robin

name web
worker-env GREETING=hello there
worker-prefix
-- node ${ANSWER}
`);
	await run(`--config ${file} --workers 2 --name chat --dialect cluster -- node workers/answer.js`, async (limpet) => {
		const { name, workers, policies, config } = await limpet.status();
		assert.deepEqual([name, workers.length, policies, config], ['chat', 2, ['round_robin'], file]);
		assert.equal(fs.readFileSync(`/proc/${workers[0].pid}/environ`, 'latin1').includes('GREETING=hello there\0'), true);
		assert.equal((await limpet.get('/')).status, 200);
	})(t);
	await run(`--config ${file} --workers 1`, async (limpet) => {
		assert.equal((await limpet.status()).workers.length, 1, 'its program runs, too');
	})(t);
}));

test('a mistake names the file and the line, also one that is found when the flags are used', withFiles(
	async (write, folder) => {
		const cases = {
			'listen 127.0.0.1:0\n\nlisen :80\n': /x\.conf:3: unknown flag --lisen; did you mean --listen\?/,
			'listen 127.0.0.1:0\nworkers many\n': /x\.conf:2: --workers: "many" is not a number from 1 to 256/,
			'worker-prefix yes\n': /x\.conf:1: --worker-prefix takes no value, but got "yes"/,
			'# c\nlisten\n': /x\.conf:2: --listen needs a value/,
			'config y.conf\n': /x\.conf:1: a configuration file cannot name another/,
			'listen 127.0.0.1:0\npolicy ./nowhere.lua\n': /x\.conf:2: policy \.\/nowhere\.lua: no such file/,
			'listen 127.0.0.1:0\nset denny=evil\n': /x\.conf:2: --set denny=evil: no policy reads/,
			'listen 192.0.2.1:9\n': /x\.conf:1: cannot listen on 192\.0\.2\.1:9: /,
			'listen 127.0.0.1:0\nadmin 0.0.0.0:9090\n': /x\.conf:2: "0\.0\.0\.0:9090" can be reached from other machines/,
			'-- node "x\n': /x\.conf:1: a " is not closed/,
		};
		for (const [text, expected] of Object.entries(cases)) {
			const file = write('x.conf', text);
			const { status, log } = await runToItsEnd(`run --config ${file} --dialect cluster -- node ${ANSWER}`);
			assert.notEqual(status, 0, text);
			assert.match(log, expected);
		}
		const { status, log } = await runToItsEnd(`run --config ${folder}/absent.conf -- true`);
		assert.equal(status, 2);
		assert.match(log, /--config .*absent\.conf: no such file or directory/);
	}));

test('check --config checks the file and its policies, and starts nothing', withFiles(async (write) => {
	const policy = write('p.lua', 'return {\n\ton_connect = function(conn) return conn.nosuch end,\n}\n');
	const good = write('good.conf', `listen 127.0.0.1:0\npolicy sid\n-- node ${ANSWER}\n`);
	assert.deepEqual(await runToItsEnd(`check --config ${good}`), { status: 0, output: `sid: ok\n${good}: ok\n`, log: '' });
	const broken = write('broken.conf', `listen 127.0.0.1:0\npolicy ${policy}\n`);
	const { status, output } = await runToItsEnd(`check --config ${broken}`);
	assert.equal(status, 1);
	assert.match(output, /p\.lua:2: conn has no field 'nosuch'/);
	const twice = write('twice.conf', 'listen 127.0.0.1:8080\nlisten 127.0.0.1:8080\n');
	const refused = await runToItsEnd(`check --config ${twice}`);
	assert.notEqual(refused.status, 0);
	assert.match(refused.log, /twice\.conf:\d: /);
}));

test('reload says that a changed file needs a restart', withFiles(async (write, folder, t) => {
	const file = write('web.conf', 'policy sid\n');
	await run(`--config ${file} --workers 1 --dialect cluster -- node workers/answer.js`, async (limpet) => {
		const reload = () => runToItsEnd(`reload --control ${limpet.folder}/control`);
		assert.doesNotMatch((await reload()).output, /restart/);
		write('web.conf', 'policy sid\nmax-waiting 5\n');
		assert.match((await reload()).output, new RegExp(`${file}: has changed since the start; its flags need a restart`));
	})(t);
}));
