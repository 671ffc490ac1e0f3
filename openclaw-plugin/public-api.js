// What other plugins of this gateway's process can use: globalThis[Symbol.for("clawster.api.v1")], described in api.d.ts.
import { shared, unavailable } from "./node.js";

const KEY = Symbol.for("clawster.api.v1");

export function publishApi(holds) {
  const call = (method, params) => {
    const { node } = shared();
    return node ? node.call(`distributed.${method}`, params) : Promise.reject(unavailable("no node runs in this process"));
  };
  const listeners = new Set();
  const lease = (method) => (params) => call(method, params);
  globalThis[KEY] = Object.freeze({
    version: 1,
    state: (options = {}) => call("get_cluster_state", options),
    leases: Object.freeze({ acquire: lease("acquire_lease"), renew: lease("renew_lease"), release: lease("release_lease"), check: lease("check_lease") }),
    runOnce: (params) => call("run_once", params),
    holds: (name) => holds(name),
    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  });
  return {
    take(event, logger) {
      for (const listener of listeners) {
        try {
          listener(structuredClone(event));
        } catch (error) {
          logger.warn(`clawster: another plugin's listener failed: ${error.message}`);
        }
      }
    },
    withdraw: () => void delete globalThis[KEY],
  };
}
