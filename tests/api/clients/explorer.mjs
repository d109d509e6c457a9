// The explorer page in a browser: what a person sees of it, what it asks for, and what a query answers; one line of JSON.

import { chromium } from "playwright-core";

const given = JSON.parse(process.argv[2]);
const here = new URL(given.url);

const browser = await chromium.launch({
  executablePath: given.chromium,
  // Whatever is not this machine cannot be found, by the page or by the browser itself.
  args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const seen = { asked: [], elsewhere: [], complaints: [] };
page.on("request", (request) => {
  const url = new URL(request.url());
  if (url.protocol === "data:" || url.protocol === "blob:") return;
  if (url.host === here.host) seen.asked.push(url.pathname);
  else seen.elsewhere.push(url.href);
});
page.on("websocket", (socket) => {
  if (new URL(socket.url()).host !== here.host) seen.elsewhere.push(socket.url());
});
page.on("console", (message) => {
  if (message.type() === "error") seen.complaints.push(message.text());
});
page.on("pageerror", (error) => seen.complaints.push(String(error)));

await page.goto(`${given.url}/`);
await page.locator(".graphiql-query-editor .CodeMirror-code").getByText("query Viewer").waitFor();

await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
const docs = page.locator(".graphiql-doc-explorer");
await docs.getByText("Root Types").waitFor();
await docs.getByRole("link", { name: "Query", exact: true }).click();
await docs.getByRole("link", { name: "orders", exact: true }).waitFor();
seen.questions = await docs.locator(".graphiql-doc-explorer-field-name").allInnerTexts();

const run = () => page.getByRole("button", { name: /^Execute query/ }).click();
const answer = async (word) => {
  await page.locator(".result-window .CodeMirror-code").getByText(word).first().waitFor();
  return page.evaluate(() => document.querySelector(".result-window .CodeMirror").CodeMirror.getValue());
};
const identify = async () => {
  await page.locator(".graphiql-editor-tool .CodeMirror:visible").click();
  await page.keyboard.press("Control+A");
  await page.keyboard.insertText(JSON.stringify({ Authorization: `Bearer ${given.token}` }));
};

await page.getByRole("button", { name: "Headers" }).click();
await identify();
await run();
seen.answer = await answer("viewer");

const picture = await page.screenshot({ path: given.picture });
const blank = await browser.newPage();
seen.colours = await blank.evaluate(async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const points = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  return new Set(points).size;
}, picture.toString("base64"));

// A subscription: refused at once without a token, told with one until it is stopped.
await page.getByRole("tab", { name: "Today" }).click();
await page.locator(".graphiql-query-editor .CodeMirror-code").getByText("subscription Today").waitFor();
await run();
seen.refused = await answer("errors");
await identify();
await run();
seen.told = await answer("figures");
await page.getByRole("button", { name: /^Stop query/ }).click();
await page.getByRole("button", { name: /^Execute query/ }).waitFor();
// Back at once: the page may still hold the subscription for what is to be run.
await page.getByRole("tab", { name: "Viewer" }).click();
await page.locator(".graphiql-query-editor .CodeMirror-code").getByText("query Viewer").waitFor();
await identify();
await run();
seen.again = await answer("viewer");
await browser.close();
console.log(JSON.stringify(seen));
