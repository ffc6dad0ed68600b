'use strict';
/**
 * The page at --admin in a real browser: it is live, says what goes wrong, can be used by keyboard, and fits a telephone.
 * Screenshots go to the build folder.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { chromium } = require('playwright-core');
const { eventually, run } = require('./harness');

const SHOTS = process.env.LIMPET_BUILD ?? path.resolve(__dirname, '../../build');
const COMMAND = '--admin 127.0.0.1:0 --workers 2 --policy ./policy.lua --dialect node -- node workers/answer.js';
const POLICY = `return { on_request = function(conn, workers)
	if conn.path == "/no" then return limpet.refuse(403) end
	return workers[2]
end }`;

let browser;

before(async () => {
	browser = await chromium.launch({
		executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
		timeout: 0, // Here and below: the test's own patience ends it.
		args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
			'--disable-component-update', '--disable-sync'],
	});
});

after(() => browser?.close());

async function openPage(limpet, options) {
	const [, address] = await limpet.said(/metrics and status are at (http:\S+)\/metrics/);
	const context = await browser.newContext(options);
	context.setDefaultTimeout(0);
	const page = await context.newPage();
	page.complaints = [];
	page.on('pageerror', (error) => page.complaints.push(error.message));
	page.on('console', (message) => message.type() === 'error' && page.complaints.push(message.text()));
	await page.goto(`${address}/`);
	await shows(page, '#workers', /worker 1[^]*worker 2/);
	return page;
}

const shows = (page, where, pattern) => eventually(`${where} shows ${pattern}`, async () =>
	pattern.test(await page.locator(where).innerText()));

test('connections, refusals, reloads and faults are seen as they come', run(COMMAND, { files: { 'policy.lua': POLICY } },
	async (limpet) => {
		const page = await openPage(limpet, { viewport: { width: 1280, height: 1000 }, colorScheme: 'light' });
		await limpet.get('/shop?sid=secret');
		await shows(page, '#decisions', /GET \/shop +→ worker 2 +arrived/);
		await limpet.get('/no');
		await shows(page, '#decisions', /▲ .*GET \/no +→ no worker +refused_by_policy 403/);
		assert.doesNotMatch(await page.content(), /secret/);

		process.kill(limpet.pid, 'SIGHUP');
		await shows(page, '#marks', /policies reloaded/);
		limpet.write('policy.lua', 'return 1 +');
		process.kill(limpet.pid, 'SIGHUP');
		await shows(page, '#marks', /reload refused: .*policy\.lua/);
		await shows(page, '#refused', /Reload refused at/);
		process.kill((await limpet.status()).workers[0].pid, 'SIGKILL');
		await shows(page, '#marks', /worker 1/);

		await page.focus('#wanted');
		await page.keyboard.type('refused');
		await eventually('only the refused one is left', async () => await page.locator('#decisions details').count() === 1);
		await page.keyboard.press('Tab');
		await page.keyboard.press('Enter');
		assert.equal(await page.getAttribute('#pause', 'aria-pressed'), 'true');
		await page.keyboard.press('Tab');
		await page.keyboard.press('Enter');
		await shows(page, '#decisions details[open]', /policy\.lua:\d+ on_request.* said refuse/);
		await page.screenshot({ path: path.join(SHOTS, 'page_desktop_light.png'), fullPage: true });
		assert.deepEqual(page.complaints, []);
		await page.context().close();
	}));

test('a telephone in the dark needs no sideways scrolling', run(COMMAND, { files: { 'policy.lua': POLICY } }, async (limpet) => {
	const page = await openPage(limpet, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
	await limpet.get(`/${'long'.repeat(50)}`);
	await shows(page, '#decisions', /longlong/);
	assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
	await page.screenshot({ path: path.join(SHOTS, 'page_phone_dark.png'), fullPage: true });
	assert.deepEqual(page.complaints, []);
	await page.context().close();
}));
