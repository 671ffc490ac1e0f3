// A registry on loopback with the npm packages of a folder, for trials: node registry.mjs DIR. Prints its address.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { execFileSync } from "node:child_process";

const folder = process.argv[2];
const packages = new Map();
for (const file of readdirSync(folder).filter((name) => name.endsWith(".tgz"))) {
  const path = join(folder, file);
  const manifest = JSON.parse(execFileSync("tar", ["-xOzf", path, "package/package.json"]).toString());
  const integrity = `sha512-${createHash("sha512").update(readFileSync(path)).digest("base64")}`;
  packages.set(manifest.name, { manifest, file, path, integrity });
}
const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, "http://registry").pathname).slice(1);
  const send = (code, type, body) => response.writeHead(code, { "content-type": type }).end(body);
  const archive = [...packages.values()].find(({ file }) => path === `-/${file}`);
  if (archive) return send(200, "application/octet-stream", readFileSync(archive.path));
  const found = packages.get(path);
  if (!found) return send(404, "application/json", '{"error":"not found"}');
  const { manifest, file, integrity } = found;
  const dist = { tarball: `http://${request.headers.host}/-/${file}`, integrity };
  const versions = { [manifest.version]: { ...manifest, dist } };
  send(200, "application/json", JSON.stringify({ name: manifest.name, "dist-tags": { latest: manifest.version }, versions }));
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
