/** NestJS with its adapter for Socket.IO; its decorators, called, as this is no TypeScript. */
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';

/** Decorate a method of a class. */
function decorate(decorator, { prototype }, name) {
	decorator(prototype, name, Object.getOwnPropertyDescriptor(prototype, name));
}

class Root {
	get() {
		return { pid: process.pid };
	}
}
Controller()(Root);
decorate(Get(), Root, 'get');

class Talk {
	pid(socket, number) {
		return { pid: process.pid, number };
	}
}
WebSocketGateway()(Talk);
decorate(SubscribeMessage('pid'), Talk, 'pid');

class App {}
Module({ controllers: [Root], providers: [Talk] })(App);

const app = await NestFactory.create(App, { logger: ['error'] });
await app.listen(process.env.PORT);
