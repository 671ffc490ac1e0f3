// Moments that neither a host that sleeps nor a clock that is set back can put off.

/** A moment on both clocks: the steady one, which may stand still while the host sleeps, and the wall clock. */
export function clocks() {
  const at = { steady: performance.now(), wall: Date.now() };
  return {
    add(ms) {
      at.steady += ms;
      at.wall += ms;
      return this;
    },
    left: () => Math.min(at.steady - performance.now(), at.wall - Date.now()),
    passed: () => performance.now() >= at.steady || Date.now() >= at.wall,
  };
}
