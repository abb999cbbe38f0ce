/** The settings of files: where they are kept, and what they may be. */
import {
  bucketName,
  directory,
  httpUrl,
  integer,
  onOff,
  type ScannerAddress,
  scannerUrl,
  secret,
  typePatterns,
  word,
} from './config-formats.ts'
import { GIB, KIB, MAX_INT, MIB, ms, setting } from './config-setting.ts'

const bytes = integer(KIB, 100 * MIB, 'bytes')
const withFiles = { required: 'in production, where FILES_DIR or S3_BUCKET is set' }
const together = { required: 'with the other of S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY' }

export const FILE_SETTINGS = {
  filesDir: setting(
    'FILES_DIR',
    directory,
    null,
    'The folder for files; several nodes need to share it. In production there are no files where neither this nor S3_BUCKET is set.',
    { defaultText: 'none; in development `files` in DATA_DIR' },
  ),
  filesUrlSecret: setting(
    'FILES_URL_SECRET',
    secret,
    null,
    'What the urls of files are signed with, the same on all nodes. A new one ends the urls that were given.',
    { ...withFiles, defaultText: 'none; in development a key made on the first start, in DATA_DIR' },
  ),
  filesUrlTtlMs: setting(
    'FILES_URL_TTL_MS',
    ms(60_000, 259_200_000),
    3_600_000,
    "For how long at least a file's url works; at most it is twice as long.",
  ),
  maxFileBytes: setting(
    'MAX_FILE_BYTES',
    integer(KIB, MAX_INT, 'bytes'),
    GIB,
    'The largest file, by a resumable upload.',
  ),
  uploadMaxBytes: setting(
    'UPLOAD_MAX_BYTES',
    bytes,
    10 * MIB,
    'The largest file by GraphQL: a node holds it in memory while it comes.',
  ),
  uploadBytesPerDay: setting(
    'UPLOAD_BYTES_PER_DAY',
    integer(KIB, 1_000_000 * GIB, 'bytes'),
    10 * GIB,
    'What one user may upload in a day (UTC). What was begun counts, whatever becomes of it.',
  ),
  unsentFilesHours: setting(
    'UNSENT_FILES_HOURS',
    integer(1, 720, 'hours'),
    24,
    'After how long a file that was not sent is removed, and an upload that was not completed is given up.',
  ),
  filesTempDir: setting(
    'FILES_TEMP_DIR',
    directory,
    null,
    'Where a node keeps pictures while it works on them, some times as large as they are; of this service alone.',
    { defaultText: "`sohbet-files-` and the number of the service's user, in the system's folder for temporary files" },
  ),
  publicUrl: setting(
    'PUBLIC_URL',
    httpUrl,
    null,
    'Where clients reach this server. With it the urls of files are absolute, without it they are paths.',
  ),
  s3Bucket: setting('S3_BUCKET', bucketName, null, 'The bucket for files, instead of a folder. It must exist.'),
  s3Region: setting('S3_REGION', word, 'us-east-1', 'The region of the bucket.'),
  s3Endpoint: setting('S3_ENDPOINT', httpUrl, null, 'Where the S3-compatible service is.', {
    defaultText: "Amazon's own for the region",
  }),
  s3PublicEndpoint: setting(
    'S3_PUBLIC_ENDPOINT',
    httpUrl,
    null,
    'Where clients reach the bucket, if they are to fetch files from it by presigned urls; without, downloads go through the nodes.',
  ),
  s3ForcePathStyle: setting(
    'S3_FORCE_PATH_STYLE',
    onOff,
    false,
    "Whether the bucket stands in the url's path, as most servers other than Amazon's need it.",
  ),
  s3AccessKeyId: setting('S3_ACCESS_KEY_ID', word, null, 'Who the nodes are to the bucket.', {
    ...together,
    defaultText: 'what the AWS SDK finds, as the role of the machine',
  }),
  s3SecretAccessKey: setting('S3_SECRET_ACCESS_KEY', word, null, 'The secret that goes with it.', together),
  s3TimeoutMs: setting(
    'S3_TIMEOUT_MS',
    ms(100, 300_000),
    15_000,
    'How long the bucket may take to answer, or to go on with an answer; a request is tried three times.',
  ),
  filesAllowedTypes: setting<readonly string[], readonly string[]>(
    'FILES_ALLOWED_TYPES',
    typePatterns,
    ['*/*'],
    'The types of files that may be uploaded. Both what the content is and what the client says it is must be listed; text of any kind is `text/plain` by its content.',
  ),
  filesScannerUrl: setting<ScannerAddress, null>(
    'FILES_SCANNER_URL',
    scannerUrl,
    null,
    'The virus scanner that sees every file before anybody can fetch it. While it is away, files stay PROCESSING.',
    { defaultText: 'none: files are not scanned' },
  ),
  filesScannerTimeoutMs: setting(
    'FILES_SCANNER_TIMEOUT_MS',
    ms(100, 3_600_000),
    120_000,
    'How long the scanner may be silent.',
  ),
  filesMaxImagePixels: setting(
    'FILES_MAX_IMAGE_PIXELS',
    integer(10_000, 1_000_000_000),
    120_000_000,
    'The largest image, as its width times its height. While it is decoded it may take five bytes for each, in a process of its own.',
  ),
  filesImageProcesses: setting('FILES_IMAGE_PROCESSES', integer(1, 64), 2, 'How many images a node decodes at once.'),
}
