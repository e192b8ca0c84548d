/**
 * A socket in a directory on which its owner listens for as long as it lives. Who asks needs no leave of the owner's: the kernel
 * answers for a process that is stopped or busy, across containers, and refuses when it is gone.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"

/** Room in a socket's address, less than the least of Linux (108) and macOS (104). */
const maxAddress = 100

/** The address of `name`, of which a long path has no room: then by way of an open descriptor of the directory. */
const withAddress = <A>(
  directory: string,
  name: string,
  use: (address: string) => Effect.Effect<A>
): Effect.Effect<A> => {
  const address = path.join(directory, name)
  if (Buffer.byteLength(address) <= maxAddress) return use(address)
  return Effect.acquireUseRelease(
    Effect.sync(() => fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)),
    (handle) => use(`/proc/self/fd/${handle}/${name}`),
    (handle) => Effect.sync(() => fs.closeSync(handle))
  )
}

const listen = (directory: string, name: string): Effect.Effect<net.Server | undefined> =>
  withAddress(directory, name, (address) =>
    Effect.async<net.Server | undefined>((resume) => {
      const server = net.createServer((socket) => socket.destroy())
      server.once("error", () => resume(Effect.succeed(undefined)))
      server.listen({ path: address }, () => {
        // A connection that could not be accepted (EMFILE) waits in the kernel, which is answer enough.
        server.on("error", () => {})
        resume(Effect.succeed(server.unref()))
      })
    }))

export interface Beacon {
  /** False: this file system, or this system, has no such sockets. */
  readonly isLit: boolean
  /** Makes the socket again that somebody took away. False: it cannot. */
  readonly again: Effect.Effect<boolean>
}

/** Listens until the scope closes. */
export const light = (directory: string, name: string): Effect.Effect<Beacon, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.map(listen(directory, name), (server) => ({ server, made: 0 })),
      ({ server }) =>
        server === undefined ? Effect.void : Effect.async<void>((resume) => {
          fs.rmSync(path.join(directory, name), { force: true })
          server.close(() => resume(Effect.void))
        })
    ),
    (current) => ({
      isLit: current.server !== undefined,
      // Under another name until it listens: between its making and that the kernel refuses, as for an owner that is dead. Each time
      // under one of its own: a server that is closed takes away what is under the name at which it began to listen.
      again: Effect.uninterruptible(Effect.suspend(() => {
        const temporary = `${name}.new${current.made++}`
        return Effect.map(listen(directory, temporary), (server) => {
          if (server === undefined) return false
          current.server?.close()
          current.server = server
          try {
            fs.renameSync(path.join(directory, temporary), path.join(directory, name))
            return true
          } catch {
            return false
          }
        })
      }))
    })
  )

/** Undefined: it cannot be told, since there is no such socket or it is not ours to ask. */
export const isLit = (directory: string, name: string): Effect.Effect<boolean | undefined> =>
  withAddress(directory, name, (address) =>
    Effect.async<boolean | undefined>((resume) => {
      const socket = net.connect({ path: address })
      const end = (answer: boolean | undefined) => {
        socket.destroy()
        resume(Effect.succeed(answer))
      }
      socket.once("connect", () => end(true))
      socket.on("error", (error: NodeJS.ErrnoException) => {
        // EAGAIN: so many ask that its queue is full.
        end(error.code === "ECONNREFUSED" ? false : error.code === "EAGAIN" ? true : undefined)
      })
    }))
