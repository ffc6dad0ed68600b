'use strict';
/**
 * nginx with `keepalive`, HAProxy with `http-reuse`: many clients share the proxy's few connections to limpet, and each
 * request comes where it belongs.
 */
const assert = require('node:assert/strict');
const http = require('node:http');
const { test } = require('node:test');
const { io } = require('socket.io-client');
const { AT_PORT, many } = require('./any_server');
const { acknowledged, connected, request } = require('./clients');
const { PROXIES, startProxy } = require('./proxies');
const { run } = require('./harness');

const WORKERS = 3;
const serve = (flags, server = 'any_server/chat.js') => `--workers ${WORKERS} ${flags} --dialect preload -- ${AT_PORT} node workers/${server} PORT`;

/** The address of a client, and what it claims in vain. */
const clientOf = (number) => ({ localAddress: `127.0.1.${number + 1}`, claims: `198.51.100.${number + 1}` });

for (const proxy of Object.keys(PROXIES)) {
	test(`${proxy}: forwarded_for keeps 8 of 8 polling clients`, run(
		serve('--policy forwarded_for --trust 127.0.0.1'), async (limpet, t) => {
			const address = await startProxy(t, proxy, limpet.address);
			const pids = new Set();
			const poll = async (number) => {
				const { localAddress, claims } = clientOf(number);
				const agent = new http.Agent({ keepAlive: true, localAddress });
				const headers = { 'X-Forwarded-For': claims, Forwarded: 'for=unknown' };
				const client = io(`http://${address}`, {
					transports: ['polling'], forceNew: true, reconnection: false, agent, extraHeaders: headers,
				});
				try {
					await connected(client);
					const here = new Set();
					for (let turn = 0; turn < 5; turn++)
						here.add((await acknowledged(client, 'pid', turn)).pid);
					pids.add(...here);
					return here.size;
				} finally {
					client.close();
					agent.destroy();
				}
			};
			assert.deepEqual(await Promise.all([...Array(8).keys()].map(poll)), Array(8).fill(1));
			assert.ok(pids.size > 1, 'not all at one worker');
		}));

	test(`${proxy}: an address is at one worker whoever's connection its request comes on`, run(
		serve('--policy forwarded_for --trust 127.0.0.1'), async (limpet, t) => {
			const address = await startProxy(t, proxy, limpet.address);
			const homes = new Map();
			const ask = async (turn) => {
				const { localAddress } = clientOf(turn % 20);
				const { pid } = (await request(address, '/', { localAddress })).json;
				if (!homes.has(localAddress))
					homes.set(localAddress, pid);
				return homes.get(localAddress) === pid;
			};
			for (let turn = 0; turn < 20; turn++)
				assert.ok(await ask(turn));
			let turn = 0;
			assert.deepEqual([...await many(200, () => ask(turn++), 8)], [true]);
			assert.equal(new Set(homes.values()).size, WORKERS);
		}));

	test(`${proxy}: sessions by a cookie`, run(
		serve('--session cookie:connect.sid', 'logins.js'), async (limpet, t) => {
			const address = await startProxy(t, proxy, limpet.address);
			const useSession = async () => {
				const first = await request(address, '/');
				const headers = { Cookie: first.headers['set-cookie'][0].split(';')[0] };
				for (let visits = 2; visits <= 5; visits++)
					assert.deepEqual((await request(address, '/', { headers })).json, { pid: first.json.pid, visits });
				return 'kept';
			};
			assert.deepEqual([...await many(60, useSession, 8)], ['kept']);
		}));
}
