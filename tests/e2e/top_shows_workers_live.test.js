'use strict';
/**
 * `limpet top` in a real terminal of 80 × 24: tmux's, which is asked what can be seen.
 */
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const test = require('node:test');
const { BINARY, eventually, run, runToItsEnd } = require('./harness');

/** A terminal in which a command runs. */
class Terminal {
	constructor(folder, command) {
		this.socket = `${folder}/tmux`;
		this.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', '80', '-y', '24', '-s', 'top', command);
	}

	#tmux(...words) {
		return execFileSync('tmux', ['-S', this.socket, ...words], { encoding: 'utf8', env: { ...process.env, TERM: 'xterm' } });
	}

	screen() {
		return this.#tmux('capture-pane', '-p', '-t', 'top');
	}

	press(...keys) {
		this.#tmux('send-keys', '-t', 'top', ...keys);
	}

	resize(columns, rows) {
		this.#tmux('resize-window', '-t', 'top', '-x', columns, '-y', rows);
	}

	close() {
		this.#tmux('kill-server');
	}
}

test('workers are shown, chosen, drained and enabled; the shell is there again afterwards', run(
	'--workers 2 --dialect node -- node workers/answer.js', async (limpet) => {
		const terminal = new Terminal(limpet.folder, `cd ${limpet.folder} && echo before && ${BINARY} top --control ./control; ` +
			'echo "status $?"; read line');
		const shows = (what, pattern) => eventually(what, () => pattern.test(terminal.screen()));
		try {
			await shows('both workers', /^> +1 +\d+ +ready .*\n +2 +\d+ +ready /m);
			assert.match(terminal.screen(), /^limpet \d.*running since .* UTC\naccepted 0, .*\nwaiting 0, sessions 0/);
			assert.match(terminal.screen().trimEnd(), /\n up, down: choose .* q: quit$/);
			assert.equal((await limpet.get('/')).status, 200);
			await shows('a connection', /^accepted 1, /m);

			terminal.press('Down');
			await shows('the second is chosen', /^> +2 /m);
			terminal.press('d');
			await shows('it drains', /^> +2 +\d+ +draining [^]*worker 2 gets no new connections/m);
			terminal.press('Up', 'd');
			await shows('why the other one does not', /no other worker takes connections/);
			terminal.press('Down', 'e');
			await shows('it is enabled', /^> +2 +\d+ +ready [^]*worker 2 gets new connections/m);
			terminal.press('r');
			await shows('a reload', /reloaded the policies/);

			terminal.resize(80, 12);
			await shows('a smaller window', /^limpet [^]*\n up, down: choose/);
			terminal.press('q');
			await shows('the shell again', /^before\nstatus 0\n/);
		} finally {
			terminal.close();
		}
	}));

test('without a terminal it says what is for programs', run('--workers 1 --dialect node -- node workers/answer.js',
	async (limpet) => {
		const { status, log } = await runToItsEnd(`top --control ${limpet.folder}/control`);
		assert.equal(status, 2);
		assert.match(log, /top needs a terminal; limpet status --json is for programs/);
	}));
