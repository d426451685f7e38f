// Answers every request; notes when it first accepts, on the clock all processes share.
const fs = require('node:fs');
const http = require('node:http');

http.createServer((request, response) => response.end('hello\n'))
  .listen(Number(process.env.PORT), () => {
    if (process.env.STAMP) fs.appendFileSync(process.env.STAMP, `${process.hrtime.bigint()}\n`);
  });
