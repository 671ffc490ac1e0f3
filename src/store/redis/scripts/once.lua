-- once: grants each key to one caller until its time has passed.
--
-- KEYS behind the fixed ones: once:<key> for each key
-- ARGV: 1 node id, 2 request id or '', 3 ttl (ms)
-- Returns: [now, [for each key: '' (granted now), or "<granted before (1|0)> <node id> <at, server time>"]]
-- Atomic, because a key must be read in the moment in which it was found taken. A request that comes again, by the same
-- node with the same request id, is granted again.
local id, request, ttl = ARGV[1], ARGV[2], ARGV[3]
local value = id .. ' ' .. int(now) .. ' ' .. request
local answers = {}
for at = FIXED_KEYS + 1, #KEYS do
  local key = KEYS[at]
  local answer = ''
  if not call('SET', key, value, 'PX', ttl, 'NX') then
    local by, since, before = string.match(try('GET', key) or '', '^(%S+) (%d+) (.*)$')
    if by then
      answer = (by == id and request ~= '' and before == request and '1 ' or '0 ') .. by .. ' ' .. since
    else
      -- Somebody else put something there.
      call('SET', key, value, 'PX', ttl)
    end
  end
  answers[#answers + 1] = answer
end
return { int(now), answers }
