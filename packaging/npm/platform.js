// Finds the clawster program of this platform among the packages that npm installed beside this one.
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The packages with a program for this platform, the best one first. */
export function packages() {
  const { platform, arch } = process;
  const name = `clawster-${platform}-${arch}`;
  if (platform !== "linux") return [name];
  // The report names the C library's version only where it is glibc. The program for musl runs everywhere.
  const glibc = process.report?.getReport?.().header?.glibcVersionRuntime;
  return glibc ? [name, `${name}-musl`] : [`${name}-musl`];
}

/** The program's path. Throws, with what to do, if there is none. `folder`: where to look from. */
export function program(folder = dirname(fileURLToPath(import.meta.url))) {
  const require = createRequire(join(folder, "package.json"));
  for (const name of packages()) {
    try {
      const path = join(dirname(require.resolve(`${name}/package.json`)), "bin", "clawster");
      if (existsSync(path)) return path;
    } catch {} // Not installed.
  }
  throw new Error(
    `there is no program for ${process.platform}-${process.arch} here (looked for ${packages().join(", ")}): install again without --omit=optional, or build it with cargo install clawster`,
  );
}
