/**
 * An MCP server as its package's documentation has it: Streamable HTTP, one transport a session, in this process's memory.
 * Its tool says which process answers, and counts the session's calls.
 */
import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import express from 'express';

const transports = {};

function makeServer() {
	const server = new McpServer({ name: 'counter', version: '1.0.0' });
	let calls = 0;
	server.registerTool('count', { description: 'Counts the calls of its session.' }, () => ({
		content: [{ type: 'text', text: JSON.stringify({ pid: process.pid, calls: ++calls }) }],
	}));
	return server;
}

async function open() {
	const transport = new StreamableHTTPServerTransport({
		sessionIdGenerator: randomUUID,
		onsessioninitialized: (id) => { transports[id] = transport; },
	});
	transport.onclose = () => delete transports[transport.sessionId];
	await makeServer().connect(transport);
	return transport;
}

const app = express();
app.use(express.json());
app.all('/mcp', async (request, response) => {
	const id = request.headers['mcp-session-id'];
	if (!transports[id] && (id || !isInitializeRequest(request.body))) {
		response.status(id ? 404 : 400).json({ jsonrpc: '2.0', error: { code: -32000, message: 'Session not found' }, id: null });
		return;
	}
	const transport = transports[id] ?? await open();
	await transport.handleRequest(request, response, request.body);
});
app.listen(Number(process.argv[2]));
