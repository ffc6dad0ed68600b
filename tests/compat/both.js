'use strict';
/**
 * Suites with the package's own primary, and with limpet:  node both.js [SUITE…]
 *
 * A suite is a *.test.js beside this file. At the end comes the table that the README shows: how many of a suite's tests
 * pass. Limpet has to pass them all, which is also what tests/run asks; what fails with the package's own primary is
 * printed, and no failure here: those are the faults that people come from. $LIMPET is the program, by default build/limpet.
 */
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

const TITLES = {
	adapter022: '@socket.io/cluster-adapter 0.2.2',
	adapter030: '@socket.io/cluster-adapter 0.3.0',
	sticky: '@socket.io/sticky 1.0.4',
	sticky_session: 'sticky-session 1.1.2',
	socketio_store: 'strong-cluster-socket.io-store 0.1.8',
	strong_mq: 'strong-mq 1.0.2',
	strong_store: 'strong-store-cluster 1.0.1',
};

function suites() {
	const names = fs.readdirSync(__dirname).map((file) => /^(\w+)\.test\.js$/.exec(file)?.[1]);
	return names.filter((name) => name in TITLES);
}

/** A suite's TAP, and what it counts. */
function run(suite, primary) {
	const { NODE_TEST_CONTEXT, ...env } = process.env; // Else, inside another node --test, it would not speak TAP.
	const { stdout } = spawnSync(process.execPath, ['--test', '--test-reporter=tap', `${suite}.test.js`], {
		cwd: __dirname,
		env: { ...env, PRIMARY: primary },
		encoding: 'utf8',
		stdio: ['ignore', 'pipe', 'inherit'],
		maxBuffer: 1 << 26,
	});
	const [pass, fail] = ['pass', 'fail'].map((word) => Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(stdout)?.[1]));
	const failed = [...stdout.matchAll(/^not ok \d+ - (.*)/gm)].map(([, name]) => name);
	return { stdout, pass, total: pass + fail, failed };
}

const rows = [];
for (const suite of process.argv.length > 2 ? process.argv.slice(2) : suites()) {
	const theirs = run(suite, 'theirs');
	const ours = run(suite, 'ours');
	process.stdout.write(ours.stdout);
	theirs.failed.forEach((name) => console.log(`# not with its own primary: ${name}`));
	rows.push(`# | ${TITLES[suite]} | ${theirs.pass} of ${theirs.total} | ${ours.pass} of ${ours.total} |`);
	if (!ours.pass || ours.pass !== ours.total)
		process.exitCode = 1;
}
console.log(['# | suite | its own primary | limpet |', '# |---|---|---|', ...rows].join('\n'));
