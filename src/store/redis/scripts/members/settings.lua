-- settings: reads the settings of the cluster, or changes them for all nodes.
--
-- ARGV: 1 version of the settings that the caller knows, 2 the wanted settings ("<interval> <ttl> <lease> <grace> <mode>") or '' (shows only)
-- Returns: [now, numbers before, numbers after, leader]
-- Atomic, because two concurrent changes must get two versions. The leader's record does not change here: its holder learns of the
-- settings with its next tick, and then states what it follows (shared/leases.lua). All nodes are asked to tick at once.
load_meta()
local before = numbers_reply()
if ARGV[2] ~= '' then
  local wanted = meta.interval == 0 or meta.grace == 0
  if not wanted then
    local now_in_force = table.concat({ int(meta.interval), int(meta.ttl), int(meta.lease), int(meta.grace), meta.mode }, ' ')
    wanted = now_in_force ~= ARGV[2]
  end
  if wanted or meta.settings == 0 then
    write_settings(math.max(meta.settings, tonumber(ARGV[1])) + 1, ARGV[2])
    if meta.settings < now_us then
      meta.settings = now_us
      call('HSET', META, 'settings', int(now_us))
    end
    call('PUBLISH', PREFIX .. 'all', 'register')
  end
end
return { int(now), before, numbers_reply(), leader_reply(read_leader()) }
