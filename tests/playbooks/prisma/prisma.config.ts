// Prisma Migrate without its native engine: the schema engine that the package brings as WebAssembly,
// over the pg driver. For tests on machines that cannot fetch engines.
import pg from 'pg'
import { PrismaPg } from '@prisma/adapter-pg'
import { defineConfig } from 'prisma/config'

// The driver adapter does not know three types of the catalog ("char", name, name[]): they are shown as text.
const asText: Record<number, number> = { 18: 25, 19: 25, 1003: 1009 }
for (const Kind of [pg.Client, pg.Pool] as any[]) {
  const plain = Kind.prototype.query
  Kind.prototype.query = function (...words: any[]) {
    const answer = plain.apply(this, words)
    if (typeof answer?.then !== 'function') return answer
    return answer.then((found: any) => {
      for (const field of found?.fields ?? []) field.dataTypeID = asText[field.dataTypeID] ?? field.dataTypeID
      return found
    })
  }
}

export default defineConfig({
  engine: 'js',
  experimental: { adapter: true },
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  adapter: async () => {
    const adapter: any = new PrismaPg({ connectionString: process.env.DATABASE_URL })
    const connect = adapter.connect.bind(adapter)
    adapter.connect = async () => {
      const connection = await connect()
      // Its own way cuts a script at every semicolon, also inside of DO blocks.
      connection.executeScript = async (script: string) => { await connection.client.query(script) }
      return connection
    }
    return adapter
  },
})
