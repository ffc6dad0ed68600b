'use strict';
/**
 * Real proxies that keep their connections to limpet, and send requests of many clients on each.
 *
 * A proxy listens on a descriptor that it inherits, at a port that the kernel chose, so that no two tests want the same.
 */
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { spawn } = require('node:child_process');
const { eventually } = require('./patience');
const clients = require('./clients');

/** Each makes its configuration, and says how it is started. The descriptor of the listener is 3. */
const PROXIES = {
	nginx: {
		configuration: ({ port, server }) => `
			daemon off;
			worker_processes 1;
			pid nginx.pid;
			error_log stderr warn;
			events { worker_connections 1024; }
			http {
				access_log off;
				client_body_temp_path body;
				proxy_temp_path proxy;
				fastcgi_temp_path fastcgi;
				uwsgi_temp_path uwsgi;
				scgi_temp_path scgi;
				map $http_upgrade $connection_upgrade {
					default upgrade;
					'' '';
				}
				upstream limpet {
					server ${server};
					keepalive 16;
				}
				server {
					listen 127.0.0.1:${port};
					location / {
						proxy_pass http://limpet;
						proxy_http_version 1.1;
						proxy_request_buffering off;
						proxy_set_header Upgrade $http_upgrade;
						proxy_set_header Connection $connection_upgrade;
						proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
					}
				}
			}`,
		command: (folder, file) => ['nginx', '-p', `${folder}/`, '-c', file, '-e', 'stderr'],
		// Its own way from one binary to the next: the numbers of sockets that it takes over.
		env: { NGINX: '3;', PATH: `${process.env.PATH}:/usr/sbin` },
	},
	HAProxy: {
		configuration: ({ server }) => `
			global
				nbthread 1
			defaults
				mode http
				timeout connect 60s
				timeout client 60s
				timeout server 60s
				option forwardfor
			listen limpet
				bind fd@3
				http-reuse always
				server limpet ${server}
			`.replace(/^\t\t\t/gm, ''),
		command: (folder, file) => ['haproxy', '-q', '-db', '-f', file],
		env: { PATH: `${process.env.PATH}:/usr/sbin` },
	},
};

/** A proxy by name in front of an address, until the test is over: where it listens. */
async function startProxy(t, name, server) {
	const { configuration, command, env } = PROXIES[name];
	const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'limpet-proxy-'));
	const listener = net.createServer().listen(0, '127.0.0.1');
	await once(listener, 'listening');
	const { port } = listener.address();
	const file = path.join(folder, 'configuration');
	fs.writeFileSync(file, configuration({ port, server }));
	const [program, ...words] = command(folder, file);
	const stdio = ['ignore', 'ignore', 'pipe', listener._handle.fd];
	const child = spawn(program, words, { env: { ...process.env, ...env }, stdio });
	const said = [];
	child.stderr.setEncoding('utf8').on('data', (text) => said.push(text));
	t.after(async () => {
		if (child.exitCode === null) {
			child.kill('SIGTERM');
			await once(child, 'exit');
		}
		fs.rmSync(folder, { recursive: true });
	});
	// Its copy is the only one from here on. Else the kernel would give connections to this process, too.
	await eventually(`${name} has its configuration`, () => child.exitCode !== null || takes(child.pid, 3));
	listener.close();
	const address = `127.0.0.1:${port}`;
	await eventually(`${name} answers`, async () => {
		if (child.exitCode !== null)
			throw new Error(`${name} ended: ${said.join('')}`);
		return clients.request(address, '/').then(() => true, () => false);
	});
	return address;
}

/** Whether a process has a descriptor. */
function takes(pid, descriptor) {
	return fs.existsSync(`/proc/${pid}/fd/${descriptor}`);
}

module.exports = { PROXIES, startProxy };
