'use strict';
// Loaded by rpm before a Node app's own script. It remembers the servers that listen and, when rpm
// says `drain`, lets them finish: no new connection is accepted, every answer carries
// `Connection: close`, and rpm is told when the last connection has ended. Stopping the process is
// left to rpm, so that the app's own signal handlers run. And it makes output to a pipe complete:
// what was printed before an exit has been written. It prints nothing, keeps nothing alive,
// and an error of its own is never the app's.
(() => {
  try {
    const mark = Symbol.for('rpm.preload');
    // Worker threads load NODE_OPTIONS again; the main thread speaks for the process.
    if (!require('worker_threads').isMainThread || process[mark]) return;
    Object.defineProperty(process, mark, { value: true });
    for (const name of ['stdout', 'stderr']) safely(() => writeWhole(name));
    start();
  } catch {
    // Without the preload the app is stopped by its signal, as any other program.
  }

  // Node writes to a pipe as much as fits and queues the rest, which `process.exit` forgets. Written
  // with waiting, as to a file, nothing is queued. The stream is made when the app first asks for it.
  function writeWhole(name) {
    const property = Object.getOwnPropertyDescriptor(process, name);
    if (!property || !property.get || !property.configurable) return;
    Object.defineProperty(process, name, {
      ...property,
      get() {
        Object.defineProperty(process, name, property);
        const stream = Reflect.apply(property.get, process, []);
        safely(() => {
          const handle = stream && stream._type === 'pipe' && stream._handle;
          if (handle && typeof handle.setBlocking === 'function') handle.setBlocking(true);
        });
        return stream;
      },
    });
  }

  function start() {
    const net = require('net');
    // Attempts to reach a restarted rpm; each needs an event of the app, so none costs a timer.
    const MAX_CONNECTS = 64;
    const MAX_LINE = 65536;
    const netClose = net.Server.prototype.close;
    const servers = new Set();
    const awaited = new WeakSet();
    const sessions = new WeakMap();
    let draining = false;
    let drained = false;

    const manager = byChannel() || bySocket();
    if (!manager) return;
    watchListen();

    // Replaces `listen` to learn of servers; nothing else of them changes before a drain.
    function watchListen() {
      const listen = net.Server.prototype.listen;
      const wrapped = {
        listen(...args) {
          safely(() => expect(this));
          return Reflect.apply(listen, this, args);
        },
      }.listen;
      Object.defineProperty(wrapped, 'length', { value: listen.length, configurable: true });
      net.Server.prototype.listen = wrapped;
    }

    function expect(server) {
      if (awaited.has(server)) return;
      awaited.add(server);
      server.once('listening', () => safely(() => listens(server)));
      if (/^Http2/.test(server.constructor.name)) rememberSessions(server);
    }

    function listens(server) {
      awaited.delete(server);
      servers.add(server);
      server.once('close', () => safely(() => gone(server)));
      if (draining) retire(server);
      else manager.listening(server);
    }

    function gone(server) {
      servers.delete(server);
      settle();
    }

    function rememberSessions(server) {
      if (sessions.has(server)) return;
      const open = new Set();
      sessions.set(server, open);
      server.on('session', (session) => safely(() => {
        open.add(session);
        session.once('close', () => open.delete(session));
        // A connection that was being set up: its first request is still answered.
        if (draining) session.once('stream', () => safely(() => session.close()));
      }));
    }

    function drain() {
      if (draining) return;
      draining = true;
      safely(announceClose);
      for (const server of [...servers]) safely(() => retire(server));
      settle();
    }

    // net's own close: http's would cut idle keep-alive connections under their clients.
    function retire(server) {
      for (const session of sessions.get(server) || []) session.close();
      Reflect.apply(netClose, server, []);
      forgiveClose(server);
    }

    // The app's own shutdown calls `close` on a server that is closed by now: no error for that.
    function forgiveClose(server) {
      const close = server.close;
      const forgiving = {
        close(callback) {
          if (typeof callback === 'function') this.once('close', () => callback());
          return Reflect.apply(close, this, []);
        },
      }.close;
      Object.defineProperty(server, 'close', {
        value: forgiving, configurable: true, writable: true,
      });
    }

    // Every http/1 answer whose head is not out yet says `Connection: close` and means it.
    function announceClose() {
      const proto = require('http').ServerResponse.prototype;
      const store = proto._storeHeader;
      if (typeof store !== 'function') return;
      proto._storeHeader = function _storeHeader(firstLine, headers) {
        if (this.statusCode !== 101) this.shouldKeepAlive = false;
        const result = Reflect.apply(store, this, [firstLine, headers]);
        safely(() => overrule(this));
        return result;
      };
    }

    // Proxies copy `Connection: keep-alive` from elsewhere into their answer.
    function overrule(response) {
      const kept = /(\r\nconnection: *)keep-alive *(\r\n)/i;
      if (response.statusCode === 101 || !kept.test(response._header)) return;
      response._header = response._header.replace(kept, '$1close$2');
      response._last = true;
      response.shouldKeepAlive = false;
    }

    function settle() {
      if (!draining || drained || servers.size > 0) return;
      drained = true;
      manager.drained();
    }

    function address(server) {
      const bound = server.address();
      if (typeof bound === 'string') return { path: bound };
      return bound ? { address: bound.address, port: bound.port } : undefined;
    }

    // The process's IPC channel is rpm's. An 'internalMessage' listener keeps nothing alive.
    function byChannel() {
      if (process.env.RPM_DRAIN !== 'ipc') return null;
      delete process.env.RPM_DRAIN;
      if (!process.channel || typeof process.send !== 'function') return null;
      const send = process.send;
      const tell = (message) => {
        const full = { cmd: 'NODE_RPM', ...message };
        if (process.connected) Reflect.apply(send, process, [full, undefined, {}, () => {}]);
      };
      process.on('internalMessage', (message) => safely(() => {
        if (message && message.cmd === 'NODE_RPM' && message.act === 'drain') drain();
      }));
      return {
        // A turn later: who only tried whether the port is free has closed the server by then. Not
        // unref'd: an idle loop would sleep before it, until http's own timer of 30 s.
        listening: (server) => setImmediate(() => safely(() => {
          if (server.listening) tell({ act: 'listening', address: address(server) });
        })),
        drained: () => tell({ act: 'drained' }),
      };
    }

    // rpm listens at RPM_CONTROL; a process that never serves never connects.
    function bySocket() {
      const path = process.env.RPM_CONTROL;
      if (!path) return null;
      let socket = null;
      let connects = MAX_CONNECTS;
      const report = () => `${JSON.stringify({
        pid: process.pid, listening: [...servers].map(address).filter(Boolean),
      })}\n`;

      function connect() {
        if (socket || connects === 0) return;
        connects -= 1;
        const mine = socket = net.connect(path);
        let reached = false;
        mine.unref();
        mine.on('connect', () => safely(() => {
          reached = true;
          mine.write(report());
          if (drained) mine.write('{"drained":true}\n');
        }));
        mine.on('data', reader());
        mine.on('error', () => {});
        mine.on('close', () => safely(() => {
          if (socket === mine) socket = null;
          // rpm restarts: once at once, then whenever a client shows that it matters.
          if (reached) connect();
          else retryAtNextConnection();
        }));
      }

      function reader() {
        let rest = '';
        return (chunk) => safely(() => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop().slice(0, MAX_LINE);
          // It talks to us, so the next loss is a restart and not a refusal.
          if (lines.length > 0) connects = MAX_CONNECTS;
          if (lines.includes('drain')) drain();
        });
      }

      function retryAtNextConnection() {
        const again = () => {
          for (const server of servers) server.removeListener('connection', again);
          safely(connect);
        };
        for (const server of servers) server.on('connection', again);
      }

      const write = (line) => {
        if (socket && !socket.connecting) socket.write(line);
        else connect();
      };
      return {
        listening: () => write(report()),
        drained: () => write('{"drained":true}\n'),
      };
    }
  }

  function safely(action) {
    try {
      action();
    } catch {
      // See above: never the app's error.
    }
  }
})();
