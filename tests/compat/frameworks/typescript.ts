/** A server in TypeScript, for those that start it: tsx, node --import tsx, nodemon. */
import http from 'node:http';
import { Server, type Socket } from 'socket.io';

const port: number = Number(process.env.PORT);
const server = http.createServer((request, response) => {
	response.setHeader('Content-Type', 'application/json');
	response.end(JSON.stringify({ pid: process.pid }));
});
new Server(server).on('connection', (socket: Socket) => {
	socket.on('pid', (number: number, answer: (who: object) => void) => answer({ pid: process.pid, number }));
});
server.listen(port);
