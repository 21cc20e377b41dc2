// A page that was opened from the disk may not start a worker from the disk; from its own text it may.
if (location.protocol === "file:") {
  const Started = window.Worker;
  window.Worker = class extends Started {
    constructor(_address, options) {
      super(URL.createObjectURL(new Blob([window.searchWorker], { type: "text/javascript" })), options);
    }
  };
}
