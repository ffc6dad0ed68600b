'use strict';
/**
 * The chat of examples/ in a real browser: tabs in different workers hear each other over every transport, and each shows
 * where it lives. Screenshots go to the build folder.
 */
const assert = require('node:assert/strict');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { chromium } = require('playwright-core');
const { run } = require('./harness');

const CHAT = path.resolve(__dirname, '../../examples/socketio_chat/server.js');
const SHOTS = process.env.LIMPET_BUILD ?? path.resolve(__dirname, '../../build');
const COMMAND = `--workers 4 --policy sid -- node ${CHAT}`;

/** Tabs that are opened before giving up on finding two in different workers. */
const MOST_TABS = 8;

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

/** A tab in a context of its own, as another person's would be. Resolves when it shows its worker and `transport`. */
async function openTab(limpet, query, transport, options = {}) {
	const context = await browser.newContext({ viewport: { width: 1180, height: 760 }, ...options });
	context.setDefaultTimeout(0);
	const tab = await context.newPage();
	tab.complaints = [];
	tab.on('pageerror', (error) => tab.complaints.push(error.message));
	tab.on('console', (message) => message.type() === 'error' && tab.complaints.push(message.text()));
	await tab.goto(`http://${limpet.address}/${query}`);
	await showsTransport(tab, transport);
	return tab;
}

const showsTransport = (tab, transport) =>
	tab.waitForSelector(`#here[data-transport="${transport}"]:not([data-worker=""])`);

const workerOf = (tab) => tab.getAttribute('#here', 'data-worker').then(Number);

const distinct = (workers) => new Set(workers).size;

/** Two tabs or more, of which two are in different workers. */
async function openTabs(limpet, query, transport) {
	const tabs = [];
	const workers = [];
	while (distinct(workers) < 2) {
		assert.ok(tabs.length < MOST_TABS, `${tabs.length} tabs are all in worker ${workers[0]}`);
		tabs.push(await openTab(limpet, query, transport, { colorScheme: tabs.length % 2 ? 'dark' : 'light' }));
		workers.push(await workerOf(tabs.at(-1)));
	}
	return tabs;
}

async function say(tab, text) {
	await tab.fill('#text', text);
	await tab.press('#text', 'Enter');
}

const hears = (tab, text) => tab.locator('.message p', { hasText: text }).waitFor();

const closeTabs = (tabs) => Promise.all(tabs.map((tab) => tab.context().close()));

const MODES = [
	{ title: 'that upgrade', query: '', transport: 'websocket', shot: 'upgrade' },
	{ title: 'with polling only', query: '?transport=polling', transport: 'polling', shot: 'polling' },
	{ title: 'with websockets only', query: '?transport=websocket', transport: 'websocket', shot: 'websocket' },
];

for (const { title, query, transport, shot } of MODES) {
	test(`tabs ${title} chat across workers`, run(COMMAND, async (limpet) => {
		const tabs = await openTabs(limpet, query, transport);
		for (const [i, tab] of tabs.entries()) {
			await say(tab, `Tab ${i} is on this rock.`);
			await Promise.all(tabs.map((other) => hears(other, `Tab ${i} is on this rock.`)));
		}

		for (const tab of tabs) {
			const worker = await workerOf(tab);
			assert.equal(await tab.textContent('#here'), `This tab: worker ${worker}, ${transport}`);
			assert.equal(await tab.locator(`#workers [data-worker="${worker}"] .mine small`).textContent(), transport);
			await tab.waitForFunction((count) => document.querySelectorAll('.tabs li').length === count, tabs.length);
			assert.equal(await tab.locator('#workers > li').count(), 4);
			assert.deepEqual(tab.complaints, []);
		}
		await Promise.all(tabs.slice(0, 2).map((tab, i) => tab.screenshot({ path: `${SHOTS}/chat-${shot}-${i}.png` })));
		await closeTabs(tabs);
	}));
}

test('a tab changes its transport and keeps its name', run(COMMAND, async (limpet) => {
	const tab = await openTab(limpet, '', 'websocket');
	await tab.fill('#name', 'Whelk');
	await tab.press('#name', 'Enter');
	await tab.locator('.mine span', { hasText: 'Whelk' }).waitFor();

	await tab.click('text=Polling');
	await showsTransport(tab, 'polling');
	await tab.locator('.mine span', { hasText: 'Whelk' }).waitFor();
	assert.equal(await tab.getAttribute('nav [aria-current]', 'href'), '?transport=polling');
	await closeTabs([tab]);
}));

test('when a worker is killed its tabs come back, and no tab is shown twice', run(COMMAND, async (limpet) => {
	const tabs = await openTabs(limpet, '', 'websocket');
	const victim = await workerOf(tabs[0]);
	process.kill((await limpet.worker(victim)).pid, 'SIGKILL');
	await tabs[0].waitForSelector('#here[data-worker=""]');

	await Promise.all(tabs.map((tab) => showsTransport(tab, 'websocket')));
	await say(tabs[0], 'Back on the rock.');
	await Promise.all(tabs.map((tab) => hears(tab, 'Back on the rock.')));
	await Promise.all(tabs.map((tab) =>
		tab.waitForFunction((count) => document.querySelectorAll('.tabs li').length === count, tabs.length)));
	await closeTabs(tabs);
}));

test('the page fits a phone', run(COMMAND, async (limpet) => {
	const tab = await openTab(limpet, '', 'websocket', { viewport: { width: 360, height: 740 } });
	await say(tab, 'A_word_that_is_much_longer_than_the_screen_of_a_telephone_is_wide, and then some more.');
	await hears(tab, 'and then some more');
	assert.equal(await tab.evaluate(() => document.documentElement.scrollWidth), 360);
	await tab.screenshot({ path: `${SHOTS}/chat-phone.png` });
	await closeTabs([tab]);
}));
