/// What an image is made of; everything is resolved and installed once, inside a build machine.
public struct ImageSource: Codable, Sendable, Equatable {
    /// A PyPI requirement (`name[extras]==version`), or nil.
    public var pypi: String?
    /// A package of an npm registry (`name@version`), or nil.
    public var npm: String?
    /// An image of a registry (`host/name:tag`, `host/name@sha256:…`), or nil.
    public var oci: String?
    /// Further requirements that narrow the resolution (`mcp<2`).
    public var constraints: [String]?
    /// Further packages that are installed beside it (`mcp[cli]`).
    public var with: [String]?
    /// Which Python a PyPI package is to have: `3.11`, `>=3.10,<3.13`; nil for that of images, whichever it is.
    public var python: String?
    /// Digest of an uploaded folder (`sha256:…`), or nil.
    public var upload: String?
    /// Digest of an upload that holds one executable file, or nil.
    public var binary: String?
    /// Digest of an upload that holds an OCI image layout, or nil.
    public var layout: String?
    /// Which image of the layout, by the name that it gives it; nil where it has one.
    public var tag: String?
    /// Whether the folder's `requirements.txt` (by that name in the upload) is locked and installed.
    public var requirements: Bool?
    /// What the uploaded folder or file is called, for people.
    public var folder: String?
    /// The argv to start; nil means the package's console script, or the executable.
    public var command: [String]?
    /// Appended to the command.
    public var arguments: [String]?

    public init(
        pypi: String? = nil, constraints: [String]? = nil, upload: String? = nil, requirements: Bool? = nil, folder: String? = nil,
        command: [String]? = nil, arguments: [String]? = nil, binary: String? = nil,
        layout: String? = nil, tag: String? = nil,
        npm: String? = nil, oci: String? = nil, with: [String]? = nil, python: String? = nil
    ) {
        self.pypi = pypi
        self.with = with
        self.python = python
        self.constraints = constraints
        self.upload = upload
        self.requirements = requirements
        self.folder = folder
        self.command = command
        self.arguments = arguments
        self.binary = binary
        self.layout = layout
        self.tag = tag
        self.npm = npm
        self.oci = oci
    }
}

/// One line of a build's progress (NDJSON on the wire).
public enum ImageBuildEvent: Sendable, Equatable {
    /// A step began; one line for people.
    case step(String)
    /// What is about to be built for the first time; before anything of it runs.
    case release(ReleaseReport)
    case done(BuiltImage)
    case failed(ImageBuildFailure)
}

/// A finished image.
public struct BuiltImage: Codable, Sendable, Equatable {
    /// `sha256:<64 hex>` of the OCI manifest.
    public var image: String
    /// The argv that starts the server in it.
    public var command: [String]
    /// Working directory in the image.
    public var directory: String
    /// Environment that the image needs (PYTHONPATH); nothing secret.
    public var environment: [String: String]
    /// `name==version`, from the lock; `name@version` of npm's; of an OCI image its digest.
    public var packages: [String]
    /// Bytes of it unpacked, without what all images share; nil for one that was built before this was told.
    public var bytes: Int?
    /// How it starts where nobody says otherwise; for images that say so themselves.
    public var defaults: Defaults?

    /// What an OCI image calls its entry point and its command.
    public struct Defaults: Codable, Sendable, Equatable {
        public var command: [String]
        /// Given ones take their place.
        public var arguments: [String]

        public init(command: [String], arguments: [String]) {
            self.command = command
            self.arguments = arguments
        }

        /// The argv with the arguments that an operator gave, if any.
        public func start(_ given: [String]) -> [String] { command + (given.isEmpty ? arguments : given) }
    }

    public init(image: String, command: [String], directory: String, environment: [String: String], packages: [String], bytes: Int? = nil) {
        self.image = image
        self.command = command
        self.directory = directory
        self.environment = environment
        self.packages = packages
        self.bytes = bytes
    }
}

/// Why a build gave no image.
public struct ImageBuildFailure: Codable, Error, Sendable, Equatable {
    /// Stable: `unknown_package`, `unknown_version`, `no_console_script`, `build_failed`, `disk_full`, `timeout`, `unknown_upload`,
    /// `exec_format`, `image_too_large`, `unconfirmed`, ….
    public var error: String
    public var message: String
    public var hint: String?
    /// The end of the build's own output.
    public var log: String?
    /// Of `unconfirmed`: what a second try has to accept.
    public var accept: [String]?

    public init(error: String, message: String, hint: String? = nil, log: String? = nil) {
        self.error = error
        self.message = message
        self.hint = hint
        self.log = log
    }
}

/// Builds images; the orchestrator's `/v1/berth/images` behind it.
public protocol ImageBuilding: Sendable {
    /// - Parameters:
    ///   - anew: resolve again, whatever an equal build gave before.
    ///   - accepting: releases to which somebody has said yes, by their ``ReleaseReport/accept``; one about which there is a doubt is
    ///     not built without (`unconfirmed`).
    func build(_ source: ImageSource, anew: Bool, accepting: [String]) -> AsyncThrowingStream<ImageBuildEvent, any Error>
}

extension ImageBuilding {
    /// The result of an equal build before, else of this one.
    public func build(_ source: ImageSource) -> AsyncThrowingStream<ImageBuildEvent, any Error> { build(source, anew: false, accepting: []) }
}
