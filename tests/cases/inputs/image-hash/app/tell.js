require("http").createServer((_, answer) => answer.end(`tag:  ${process.env.TAG}.`)).listen(8080);
