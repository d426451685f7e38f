// Answers every request with who it is, and ends when it is told to.
require('node:http').createServer((request, response) => response.end(`${process.pid}\n`))
  .listen(Number(process.env.PORT));
