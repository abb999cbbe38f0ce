import { execFile } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { copy, type Instruction, parseDockerfile, readDockerignore, type Stage, words } from './dockerfile.ts'

/** Makes the folder of the volume for the image's user: here it is made by the test. */
const VOLUME_STEP = 'install --directory --owner=node --group=node /data'

/** What a container would have: this Node first, nothing of the npm that runs the tests, nothing of its settings. */
export function containerEnv(): NodeJS.ProcessEnv {
  const path = (process.env.PATH ?? '').split(delimiter).filter((entry) => !entry.includes('node_modules'))
  return {
    PATH: [dirname(process.execPath), ...path].join(delimiter),
    HOME: process.env.HOME,
    npm_config_prefer_offline: 'true',
  }
}

/** The Dockerfile's stages, run in folders that stand for their file systems. */
export class DockerBuild {
  readonly stages: Stage[]
  readonly #context: string
  readonly #folder: string
  readonly #isIgnored: (path: string) => boolean

  private constructor(context: string, folder: string, stages: Stage[], isIgnored: (path: string) => boolean) {
    this.#context = context
    this.#folder = folder
    this.stages = stages
    this.#isIgnored = isIgnored
  }

  /** `folder` must be empty. */
  static async create(context: string, folder: string): Promise<DockerBuild> {
    const stages = parseDockerfile(await readFile(join(context, 'Dockerfile'), 'utf8'))
    return new DockerBuild(context, folder, stages, await readDockerignore(context))
  }

  /** Where a path of a stage's file system stands. */
  at(stage: string, path: string): string {
    return join(this.#folder, stage, path)
  }

  async run(): Promise<void> {
    for (const stage of this.stages) {
      let workdir = '/'
      for (const instruction of stage.instructions) {
        if (instruction.name === 'WORKDIR') workdir = instruction.text
        await mkdir(this.at(stage.name, workdir), { recursive: true })
        if (instruction.name === 'COPY') await this.#copy(stage, workdir, instruction)
        if (instruction.name === 'RUN') await this.#run(stage, workdir, instruction.text)
      }
    }
  }

  async #copy(stage: Stage, workdir: string, { options, text }: Instruction): Promise<void> {
    const sources = words(text)
    const destination = sources.pop() ?? ''
    const to = this.at(stage.name, destination.startsWith('/') ? destination : join(workdir, destination))
    for (const source of sources) {
      if (options.from !== undefined) await copy(this.at(options.from, source), to)
      else if (source !== '.' && this.#isIgnored(source)) throw new Error(`COPY ${source}: .dockerignore leaves it out`)
      else await copy(join(this.#context, source), to, (path) => this.#isIgnored(join(source, path)))
    }
  }

  async #run(stage: Stage, workdir: string, command: string): Promise<void> {
    if (command === VOLUME_STEP) return void (await mkdir(this.at(stage.name, '/data')))
    // An absolute path would be this machine's.
    if (/(?:^|[\s=])\//.test(command)) throw new Error(`RUN ${command}: cannot be run outside of a container`)
    const options = {
      cwd: this.at(stage.name, workdir),
      env: containerEnv(),
      timeout: 240_000,
      maxBuffer: 16 * 1024 ** 2,
    }
    await promisify(execFile)('/bin/sh', ['-c', command], options)
  }
}
