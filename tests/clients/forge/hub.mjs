// GitHub and Slack with a memory, on free ports of loopback, until this process is ended.
import { createEmulator } from 'emulate'

const { bot, human, slack } = JSON.parse(process.argv[2])
const seed = {
  tokens: {
    [bot]: { login: 'afk-bot', scopes: ['repo', 'user'] },
    [human]: { login: 'octo', scopes: ['repo', 'user', 'admin:repo_hook'] },
  },
  github: {
    users: [{ login: 'octo' }, { login: 'afk-bot' }],
    repos: [{ owner: 'octo', name: 'site', auto_init: false }],
  },
  slack: {
    team: { name: 'Suite', domain: 'suite' },
    users: [{ name: 'octo', email: 'octo@example.com' }],
    channels: [{ name: 'afk' }],
    bots: [{ name: 'afk-bot' }],
    tokens: [{ token: slack, user: 'octo', scopes: ['chat:write', 'channels:read', 'channels:history', 'reactions:read', 'reactions:write'] }],
  },
}
const services = {}
for (const service of ['github', 'slack']) {
  services[service] = (await createEmulator({ service, port: 0, seed })).url
}
console.log(JSON.stringify(services))
