-- Shared by messages/publish.lua and tasks/submit.lua, before each of them.

-- A bound in bytes: at most 1/`share` of maxmemory, if Redis has one, which is read every five seconds.
local function bounded(bound, share, full)
  local asked, most = string.match(meta.memory, '^(%d+) (%d+)$')
  if not asked or now < tonumber(asked) or now - tonumber(asked) > 5000 then
    most = string.match(call('INFO', 'memory'), 'maxmemory:(%d+)') or '0'
    if not full then
      call('HSET', META, 'memory', int(now) .. ' ' .. most)
    end
  end
  if tonumber(most) > 1 then
    bound = math.min(bound, math.floor(tonumber(most) / share))
  end
  return bound
end
