# A Homebrew formula that builds from source. scripts/dist fills in the address and the checksum of a release's source archive.
class Clawster < Formula
  desc "Turns several OpenClaw gateways into one cluster"
  homepage "@HOMEPAGE@"
  url "@URL@"
  sha256 "@SHA256@"
  license "MIT"

  depends_on "rust" => :build
  depends_on "redis" => :recommended

  def install
    system "cargo", "install", *std_cargo_args
    generate_completions_from_executable(bin/"clawster", "completions")
    system bin/"clawster", "man", "--write", buildpath/"man"
    man1.install Dir["man/*.1"]
  end

  service do
    run [opt_bin/"clawster", "serve", "--stay"]
    keep_alive true
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/clawster --version")
    assert_match "\"version\"", shell_output("#{bin}/clawster schema openrpc.json")
  end
end
