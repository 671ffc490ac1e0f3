// Puts the npm packages together for scripts/dist: `clawster` (OpenClaw's plugin, and a command that starts the platform's program)
// and the package with the program of one platform.
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const { VERSION: version, STAGE: stage, OS: names } = process.env;
/** Each platform that has a package: its words for npm. */
const PLATFORMS = [
  { os: "linux", cpu: "x64", libc: "glibc" },
  { os: "linux", cpu: "arm64", libc: "glibc" },
  { os: "linux", cpu: "x64", libc: "musl" },
  { os: "linux", cpu: "arm64", libc: "musl" },
  { os: "darwin", cpu: "x64" },
  { os: "darwin", cpu: "arm64" },
];
const nameOf = ({ os, cpu, libc }) => `clawster-${os}-${cpu}${libc === "musl" ? "-musl" : ""}`;
const write = (path, content) => writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`);

const root = join(stage, "npm", "clawster");
mkdirSync(join(root, "bin"), { recursive: true });
for (const entry of readdirSync("openclaw-plugin")) {
  if (entry !== "bin" && entry !== "reports") cpSync(join("openclaw-plugin", entry), join(root, entry), { recursive: true });
}
cpSync("LICENSE", join(root, "LICENSE"));
cpSync("packaging/npm/platform.js", join(root, "platform.js"));
cpSync("packaging/npm/clawster.js", join(root, "bin", "clawster.js"));
chmodSync(join(root, "bin", "clawster.js"), 0o755);
// Where the plugin looks for its program: a script that becomes the one that npm installed beside this package, or inside it.
for (const { os, cpu } of PLATFORMS.filter(({ libc }) => libc !== "musl")) {
  const names = os === "linux" ? [`clawster-${os}-${cpu}`, `clawster-${os}-${cpu}-musl`] : [`clawster-${os}-${cpu}`];
  const folder = join(root, "bin", `${os}-${cpu}`);
  mkdirSync(folder, { recursive: true });
  const script = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for name in ${names.join(" ")}; do
    for folder in "$here/../../.." "$here/../../node_modules"; do
        if [ -x "$folder/$name/bin/clawster" ]; then exec "$folder/$name/bin/clawster" "$@"; fi
    done
done
echo "clawster: the package with the program (${names.join(" or ")}) is not installed: install again without --omit=optional" >&2
exit 127
`;
  writeFileSync(join(folder, "clawster"), script, { mode: 0o755 });
}
const main = JSON.parse(readFileSync("openclaw-plugin/package.json", "utf8"));
// Names that the registry does not have would install silently without a program: only what was made is listed in a trial.
const listed = process.env.CLAWSTER_NPM_PLATFORMS === "this" ? PLATFORMS.filter(({ os, cpu, libc }) => names === [os, cpu, libc].filter(Boolean).join(" ")) : PLATFORMS;
write(join(root, "package.json"), {
  ...main,
  version,
  bin: { clawster: "bin/clawster.js" },
  // The plugin's own list has its scripts; these are added here.
  files: [...new Set([...main.files, "bin", "platform.js"])],
  optionalDependencies: Object.fromEntries(listed.map((platform) => [nameOf(platform), version])),
  openclaw: { ...main.openclaw, install: { ...main.openclaw.install, requiredPlatformPackages: listed.map(nameOf) } },
});

if (names) {
  const [os, cpu, libc] = names.split(" ");
  const name = nameOf({ os, cpu, libc });
  const folder = join(stage, "npm", name);
  mkdirSync(join(folder, "bin"), { recursive: true });
  cpSync(join(stage, "clawster"), join(folder, "bin", "clawster"));
  chmodSync(join(folder, "bin", "clawster"), 0o755);
  cpSync(join(stage, "extra", "man"), join(folder, "man"), { recursive: true });
  cpSync(join(stage, "extra", "completions"), join(folder, "completions"), { recursive: true });
  cpSync("LICENSE", join(folder, "LICENSE"));
  write(join(folder, "package.json"), {
    name,
    version,
    description: `The clawster program for ${[os, cpu, libc].filter(Boolean).join(" ")}`,
    license: "MIT",
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    files: ["bin", "man", "completions", "LICENSE"],
  });
}
