// Opens as many WebSockets as it is told, on each of which it exchanges numbered
// messages, and prints how they ended: node websockets.mjs <url> <how many>
const [url, count] = [process.argv[2], Number(process.argv[3])];
const ends = [];

for (let i = 0; i < count; i++) {
  const socket = new WebSocket(url);
  const end = { messages: 0, wrong: "" };
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send("hello");
  socket.onmessage = ({ data }) => {
    const number = Number(new TextDecoder().decode(data.slice(0, 20)));
    if (number !== end.messages) end.wrong ||= `message ${number} instead of ${end.messages}`;
    end.messages++;
    socket.send(data);
  };
  socket.onerror = ({ message }) => { end.wrong ||= `error: ${message}`; };
  socket.onclose = ({ code, reason, wasClean }) => {
    ends.push({ ...end, code, reason, clean: wasClean });
    if (ends.length === count) console.log(JSON.stringify(ends));
  };
}
